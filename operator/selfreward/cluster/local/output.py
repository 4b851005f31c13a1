"""The output of a process: its newest progress and its last words, read as the log grows, each byte once."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Final

from selfreward_steps.contract import Progress

from selfreward.cluster.ranks import FallenRank, RankReader
from selfreward.cluster.spoken import progress_in

_CHUNK: Final = 1 << 18
_LONGEST_LINE: Final = 1 << 16
_PROGRESS: Final = b'{"kind":"progress"'
_JSON: Final = (b'{"kind":', b'{"kind": ')
_ESCAPE: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_STAGE: Final = re.compile(
    r"\b(?:loading|to load|download\w*|compiling|torch\.compile takes?|took|captur\w+|kv cache size|starting)\b",
    re.IGNORECASE,
)
"""Words for how far a server is that loads a model, among all that it says."""
_LONGEST_STAGE: Final = 200
"""Longer lines list settings, some of which are called so too."""
_VLLM_PREFIX: Final = re.compile(r"^(\([^)]*\)\s*)*(INFO|WARNING|ERROR)\s+\d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\]\s*")


class LogTail:
    """A reader that follows one log file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.progress: Progress | None = None
        self.progress_at: datetime | None = None
        """When the newest progress line was read."""
        self.last_line = ""
        """The newest line of text, without the colours and the time in front."""
        self.last_stage = ""
        """The newest line that says how far a server is that loads a model, if any does."""
        self.last_error = ""
        """The newest line that says an error, if any does."""
        self._ranks = RankReader()
        self._offset = 0
        self._rest = b""

    @property
    def fallen(self) -> FallenRank | None:
        """The process of a training that a signal ended, if its launcher says so."""
        return self._ranks.fallen

    def read(self, now: datetime) -> None:
        """Take in what was written since the last read."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                while data := file.read(_CHUNK):
                    self._offset += len(data)
                    self._take(data, now)
        except FileNotFoundError:
            return

    def _take(self, data: bytes, now: datetime) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        # A line without an end (a progress bar) must not grow for ever.
        self._rest = rest[-_LONGEST_LINE:]
        newest = None
        for line in lines:
            if line.startswith(_PROGRESS):
                newest = line
            elif not line.startswith(_JSON):
                self._text(line)
        if newest is not None:
            self._progress(newest, now)

    def _progress(self, line: bytes, now: datetime) -> None:
        if (progress := progress_in(line)) is not None:
            self.progress, self.progress_at = progress, now

    def _text(self, line: bytes) -> None:
        # A carriage return redraws a bar: only what is seen in the end counts.
        text = _ESCAPE.sub("", line.decode(errors="replace")).rstrip("\r").rpartition("\r")[2].strip()
        text = _VLLM_PREFIX.sub("", text)
        if not text:
            return
        self.last_line = text[:500]
        if len(text) <= _LONGEST_STAGE and _STAGE.search(text) is not None and "warning" not in text.lower():
            self.last_stage = self.last_line
        if "Error" in text or "error:" in text:
            self.last_error = self.last_line
        self._ranks.take(text)
