"""Files that were hashed on this machine, known again for as long as nobody writes to them.

A model that a training has just written is read by its server and by the next training, and each would read it whole to
hash it once more. Its device, inode, size and two times tell whether the file is the one that was hashed: the second of
the times (ctime) can be set by nobody. That is enough on a disk of one's own, and only there: the folder is named by
whoever runs all the readers on one machine, and where none is named, every read is hashed. Before Linux 6.13 the times
of two writes within one tick of the kernel's clock are the same: of a file that has only just been written nothing is
remembered.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from . import names
from .interface import Problem
from .manifest import FileEntry

VARIABLE = "SELFREWARD_HASHED"
"""Environment variable with the folder in which a machine keeps what it has hashed."""

_TICK_NS: Final = 20_000_000
"""Nanoseconds, twice the kernel's longest tick."""


class Hashed:
    """What is known of files, in a folder with one small file for each; without a folder nothing is known."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @classmethod
    def of_this_machine(cls) -> Self:
        """As the environment says."""
        named = os.environ.get(VARIABLE)
        return cls(Path(named) if named else None)

    def holds(self, path: Path, entry: FileEntry) -> bool:
        """Whether `path` was hashed before, was what `entry` says, and was not written to since."""
        if self._folder is None:
            return False
        try:
            known = json.loads(self._place(self._folder, path).read_bytes())
        except (OSError, ValueError):
            return False
        stamp = _stamp(path)
        return stamp is not None and bool(known == [entry.sha256, *stamp])

    def problem(self, path: Path, entry: FileEntry, look: Callable[[], Problem | None]) -> Problem | None:
        """What is wrong with `path`: nothing where it is known, else what `look`, which hashes it, finds."""
        if self._folder is None:
            return look()
        if self.holds(path, entry):
            return None
        # Before the look: what is written meanwhile is not what was hashed.
        stamp = _stamp(path)
        found = look()
        if found is None and stamp is not None:
            self._note(self._folder, path, [entry.sha256, *stamp])
        return found

    def add(self, path: Path, entry: FileEntry) -> None:
        """Remember that `path` is what `entry` says: whoever calls has just written it."""
        if self._folder is None:
            return
        stamp = _stamp(path)
        if stamp is None:
            time.sleep(_TICK_NS / 1e9)
            stamp = _stamp(path)
        if stamp is not None:
            self._note(self._folder, path, [entry.sha256, *stamp])

    def _note(self, folder: Path, path: Path, known: list[str | int]) -> None:
        place = self._place(folder, path)
        fresh = place.with_name(f"{place.name}.{names.new_attempt()}")
        # A disk that takes no note costs another read.
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps(known))
            fresh.replace(place)

    def _place(self, folder: Path, path: Path) -> Path:
        return folder / hashlib.sha256(os.fsencode(path)).hexdigest()


def _stamp(path: Path) -> list[int] | None:
    """What tells the file from any other; None where it is gone, or so new that a later write may have its times."""
    try:
        found = path.stat()
    except OSError:
        return None
    if time.time_ns() - found.st_ctime_ns <= _TICK_NS:
        return None
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
