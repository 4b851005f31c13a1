"""Errors of the disk, as the errors that a user or the operator acts on, and the room left on it.

Shared by everything in the store that touches a local file. It must not hide an error: each OSError
becomes exactly one StepError.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import InfrastructureError, PermanentError, StepError
from .interface import StoreReason

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_WRONG_PATH = {errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EILSEQ}
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the body into the StepError it means; `path` is named where the error names none."""
    try:
        yield
    except OSError as error:
        raise translated(error, path) from error


def translated(error: OSError, path: Path) -> StepError:
    where = error.filename if isinstance(error.filename, str) else str(path)
    what = error.strerror or str(error)
    if error.errno in _FULL:
        return PermanentError(
            StoreReason.DISK_FULL,
            f"{where}: {what}, {free_bytes(path)} bytes free: make room on that volume or enlarge it",
        )
    if error.errno in _DENIED:
        return PermanentError(StoreReason.ACCESS_DENIED, f"{where}: {what}: give this user access to the volume")
    if error.errno in _WRONG_PATH:
        return PermanentError(StoreReason.MISCONFIGURED, f"{where}: {what}: choose another storage path")
    # What is left (EIO, ESTALE of a network volume, a staging folder that vanished) is the volume's fault.
    return InfrastructureError(StoreReason.UNAVAILABLE, f"{where}: {what}")


def free_bytes(path: Path) -> int:
    """Bytes that an unprivileged user may still write where `path` lies, or would lie."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def require_room(path: Path, needed: int) -> None:
    """Raise DiskFull before a long copy of `needed` bytes that cannot end well."""
    free = free_bytes(path)
    if free < needed:
        raise PermanentError(
            StoreReason.DISK_FULL,
            f"{path}: {needed} bytes are needed and {free} bytes are free: make room on that volume",
        )


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power failure, where the filesystem knows how."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Some network and FUSE volumes refuse fsync on a folder; they have no journal to force either.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, *, wait: bool = False) -> bool | None:
    """Lock an open file against other processes: True got it, False another has it, None cannot lock here.

    The kernel drops the lock when its holder dies, however it dies.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True
