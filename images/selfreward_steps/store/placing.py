"""Placement of an artifact's files in a folder of this machine, verified and all at once.

Used by every store's `fetch`. Several processes of one node may want the same artifact in the same place
(the ranks of a training step do), so they take turns; it must never leave a folder that looks complete
and is not.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path

from ..errors import PermanentError
from . import names
from .checking import CHUNK, Mismatch, checked, corrupt
from .disk import disk_errors, require_room, try_lock
from .interface import StoreReason
from .manifest import FileEntry, Manifest
from .parallel import each

Source = Callable[[FileEntry], Iterable[bytes]]

READS = 3
"""How often a file that does not verify is read before it is called corrupt: a torn answer heals, a bad
object does not."""


def select(manifest: Manifest, only: Sequence[str] | None) -> list[FileEntry]:
    """The files that match any of the shell patterns `only`; all of them for None."""
    if only is None:
        return list(manifest.files)
    return [entry for entry in manifest.files if any(fnmatchcase(entry.name, pattern) for pattern in only)]


def file_chunks(path: Path) -> Iterator[bytes]:
    """The content of a local file, a MiB at a time; disk errors are StepErrors."""
    with disk_errors(path), path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def verifies(path: Path, entry: FileEntry) -> bool:
    """Whether the local file is the one in the manifest; a missing file is not."""
    if not path.is_file():
        return False
    try:
        for _ in checked(file_chunks(path), entry):
            pass
    except Mismatch:
        return False
    return True


def place(
    manifest: Manifest, folder: Path, only: Sequence[str] | None, source: Source, address: str, workers: int
) -> None:
    """Make `folder` hold the selected files and the manifest; `source` reads one file from the store."""
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _turn(folder) as locked:
            if locked:
                _remove_leftovers(folder)
            kept = _kept(manifest, folder)
            missing = [entry for entry in select(manifest, only) if entry not in kept]
            if missing or not (folder / names.MANIFEST).exists():
                require_room(folder.parent, sum(entry.size for entry in missing))
                _replace(manifest, folder, kept, missing, source, address, workers)


def _kept(manifest: Manifest, folder: Path) -> list[FileEntry]:
    """The files of an earlier fetch that still verify; FetchTargetOccupied if it is not one."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return []
    try:
        earlier = Manifest.from_json((folder / names.MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        earlier = None
    if earlier is None or earlier.artifact != manifest.artifact:
        raise PermanentError(
            StoreReason.TARGET_OCCUPIED,
            f"{folder} is not an earlier copy of artifact {manifest.artifact}: empty it or use another",
        )
    if earlier.digest != manifest.digest:
        return []
    present = [entry for entry in manifest.files if (folder / entry.name).is_file()]
    good = each(lambda entry: verifies(folder / entry.name, entry), present, workers=os.cpu_count() or 1)
    return [entry for entry, fine in zip(present, good, strict=True) if fine]


def _replace(
    manifest: Manifest,
    folder: Path,
    kept: Sequence[FileEntry],
    missing: list[FileEntry],
    source: Source,
    address: str,
    workers: int,
) -> None:
    fresh = folder.parent / f".fetch-{folder.name}.{names.new_attempt()}"
    old = folder.parent / f".fetch-{folder.name}.{names.new_attempt()}"
    fresh.mkdir()
    try:
        for entry in kept:
            (fresh / entry.name).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(folder / entry.name, fresh / entry.name)
            except OSError:
                # A volume without hard links: reading the file again from the store is always right.
                missing.append(entry)
        each(lambda entry: _copy(entry, fresh / entry.name, source, address), missing, workers=workers)
        (fresh / names.MANIFEST).write_bytes(manifest.to_json())
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _copy(entry: FileEntry, path: Path, source: Source, address: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in reversed(range(READS)):
        try:
            with disk_errors(path), path.open("wb") as file:
                for chunk in checked(source(entry), entry):
                    file.write(chunk)
            return
        except Mismatch as error:
            if left == 0:
                raise corrupt(address, error.problem) from None


@contextmanager
def _turn(folder: Path) -> Iterator[bool]:
    """Wait until no other process places this folder; yields False where the filesystem has no locks."""
    descriptor = os.open(folder.parent / f".fetch-{folder.name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield try_lock(descriptor, wait=True) is True
    finally:
        os.close(descriptor)


def _remove_leftovers(folder: Path) -> None:
    for path in folder.parent.glob(f".fetch-{folder.name}.*"):
        if path.is_dir():
            with suppress(OSError):
                shutil.rmtree(path)
