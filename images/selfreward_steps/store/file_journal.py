"""The journal of a folder store: one JSONL file an attempt, appended to.

Each attempt writes its own file, so that a torn last line is never continued by the next attempt and two
attempts that briefly overlap do not write into each other's lines.
"""

import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import JsonValue

from . import names
from .disk import disk_errors
from .interface import Journal
from .journal_lines import LineParser, to_line

SYNC_EVERY_S = 1.0
"""A killed process loses nothing that was appended; a lost node at most this much."""


class FileJournal(Journal):
    """See `Journal`. `folder` holds the attempts' files and is made by the first append."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"{names.new_journal_attempt()}.jsonl"
        self._lock = threading.Lock()
        self._file = -1
        self._size = 0
        self._synced_at = 0.0
        self._closed = False
        self._parser = LineParser()

    def append(self, record: Mapping[str, JsonValue]) -> None:
        line = to_line(record)
        with self._lock, disk_errors(self._path):
            self._write(line)
            if time.monotonic() - self._synced_at >= SYNC_EVERY_S:
                self._sync()

    def records(self) -> Iterator[dict[str, JsonValue]]:
        self._parser = parser = LineParser()
        for path in sorted(self._folder.glob("*.jsonl")):
            with disk_errors(path), path.open("rb") as lines:
                yield from parser.records(lines)

    @property
    def dropped(self) -> int:
        return self._parser.dropped

    def flush(self) -> None:
        with self._lock, disk_errors(self._path):
            self._sync()

    def close(self) -> None:
        with self._lock, disk_errors(self._path):
            if self._file >= 0:
                self._sync()
            self._release()

    def discard(self) -> None:
        with self._lock, disk_errors(self._folder):
            self._release()
            if self._folder.parent.is_dir():
                for attempts in self._folder.parent.glob(".*"):
                    shutil.rmtree(attempts)
                with suppress(OSError):
                    self._folder.parent.rmdir()

    def _write(self, line: bytes) -> None:
        if self._closed:
            raise ValueError("append to a closed journal")
        if self._file < 0:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            # Half a line would swallow the next record: a caller that frees some space may go on.
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(line)

    def _sync(self) -> None:
        if self._file >= 0:
            os.fdatasync(self._file)
            self._synced_at = time.monotonic()

    def _release(self) -> None:
        self._closed = True
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
