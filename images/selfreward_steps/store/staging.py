"""Staging of a folder: built out of sight, then put in its place by one rename.

This is what makes a commit to a volume atomic: a process killed at any moment leaves a staging folder,
which its successor removes, and never half an artifact. Nothing here knows about manifests.
"""

import errno
import os
import re
import shutil
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from ..errors import InfrastructureError
from . import names
from .checking import CHUNK, HashingReader
from .disk import sync_folder, try_lock
from .interface import StoreReason
from .manifest import FileEntry

_LEFTOVER = re.compile(r"\.(?:staging|trash)-(?P<name>.+)\.[0-9a-f]{16}")
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}


def leftover_of(entry: str) -> str | None:
    """The last segment of the artifact that a staging or trash folder belongs to; None for anything else."""
    match = _LEFTOVER.fullmatch(entry)
    return match["name"] if match else None


class Staging:
    """A folder next to `final`, of which `publish` makes `final`.

    Layout: `.staging-<name>.<attempt>/lock` and `…/tree`. The lock, held while this process lives, tells a
    successor which staging folders are left over; `tree` is what is renamed.
    """

    def __init__(self, final: Path) -> None:
        self._final = final
        self._lock = -1
        self._name_home()

    def __enter__(self) -> Self:
        self._final.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(self._final)
        while not self._claim():
            pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def copy(self, name: str, path: Path) -> FileEntry:
        """Copy one file in and hash it in the same pass."""
        target = self._target(name)
        with path.open("rb") as raw, target.open("xb") as copy:
            source = HashingReader(raw)
            while chunk := source.read(CHUNK):
                copy.write(chunk)
            _settle(copy)
        return source.entry(name)

    def write(self, name: str, content: bytes) -> None:
        with self._target(name).open("xb") as file:
            file.write(content)
            _settle(file)

    def publish(self) -> bool:
        """Make the folder appear; False when something is already there, which stays as it is."""
        for folder, _, _ in os.walk(self._tree, topdown=False):
            sync_folder(Path(folder))
        try:
            # Refuses a target that is not an empty folder: this is the put-if-absent of a volume.
            os.rename(self._tree, self._final)
        except FileNotFoundError as error:
            # A network volume may answer so when it repeats a rename that had succeeded.
            if not self._final.exists():
                raise InfrastructureError(
                    StoreReason.UNAVAILABLE, f"{self._home} was removed by another process"
                ) from error
            return False
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            return False
        sync_folder(self._final.parent)
        return True

    def _name_home(self) -> None:
        self._home = self._final.parent / f".staging-{self._final.name}.{names.new_attempt()}"
        self._tree = self._home / "tree"

    def _claim(self) -> bool:
        """Make the folder and lock it; False when another process took the still unlocked one for stale."""
        self._name_home()
        self._home.mkdir()
        try:
            self._lock = os.open(self._home / "lock", os.O_RDWR | os.O_CREAT, 0o644)
            if try_lock(self._lock) is not False:
                self._tree.mkdir()
                return True
        except FileNotFoundError:
            pass
        except OSError:
            self._release()
            raise
        self._release()
        return False

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        shutil.rmtree(self._home, ignore_errors=True)

    def _target(self, name: str) -> Path:
        target = self._tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def remove(path: Path) -> None:
    """Remove a folder so that no one ever sees half of it, and no live writer can publish it meanwhile."""
    attempt = names.new_attempt()
    trash = path.parent / f".trash-{leftover_of(path.name) or path.name}.{attempt}"
    try:
        os.rename(path, trash)
        shutil.rmtree(trash)
    except FileNotFoundError:
        # Another process is removing it as well, and will not stop before it is gone.
        return


def _settle(file: IO[bytes]) -> None:
    """On disk before the rename that publishes it, and read-only, as what is committed never changes."""
    file.flush()
    os.fchmod(file.fileno(), 0o444)
    os.fsync(file.fileno())


def remove_stale(final: Path) -> None:
    """Remove what killed processes left of commits and deletions of `final`; live ones hold their lock."""
    if final.parent.is_dir():
        for path in list(final.parent.iterdir()):
            if leftover_of(path.name) == final.name:
                _remove_if_stale(path)


def _remove_if_stale(path: Path) -> None:
    try:
        descriptor = os.open(path / "lock", os.O_RDWR)
    except FileNotFoundError:
        # Killed before it had a lock, or while it was removed. An owner that is only just making it notices.
        remove(path)
        return
    try:
        # The lock is held until it is gone, so that its owner, about to lock it, cannot believe it has it.
        if path.name.startswith(".trash-") or try_lock(descriptor) is True:
            remove(path)
    finally:
        os.close(descriptor)
