"""Progress lines on standard output, which the control plane shows in status and whose silence it calls a hang.

The heartbeat repeats the last line only when the step has shown a sign of life since, so that a step that hangs
falls silent. It must never print on a step's behalf without one.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from selfreward_steps.contract import Progress

MIN_SECONDS = 0.5
"""Least time between two lines; a later update replaces one that still waits."""
HEARTBEAT_SECONDS = 15.0
"""Half of the 30 s that the contract allows, so that one late wake-up is no hang."""
BUSY_SHARE = 0.01
"""Share of one processor between two looks that shows a busy call at work. An idle process uses a thousandth; one
that shares a crowded machine still gets more than this."""
BUSY_BYTES = 1 << 20
"""Bytes read or written between two looks that show the same."""


class ProgressReporter:
    """Prints :class:`Progress` lines, at most two a second. Safe to call from threads and from an event loop.

    Nothing is printed where `enabled` is false (torchrun's ranks above 0). As a context manager it prints what is
    pending at the end.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        enabled: bool = True,
        min_seconds: float = MIN_SECONDS,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._stream = stream if stream is not None else sys.stdout
        self._enabled = enabled
        self._min_seconds = min_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._changed = threading.Condition()
        self._last: Progress | None = None
        self._pending = False
        self._ticked = False
        self._busy = 0
        self._worked = _work_done()
        self._printed_at = -math.inf
        self._looked_at = time.monotonic()
        self._closed = False
        self._thread: threading.Thread | None = None

    def update(self, done: int, total: int | None = None, unit: str = "items", **metrics: float) -> None:
        """Say how far the step is: `done` of `total` (None: unknown) `unit`, with a few newest metrics.

        A metric that is not named keeps its value while the unit stays the same, so that a reader of the last line
        knows the newest value of each, whatever was replaced before it was printed. One that is no number goes.
        """
        with self._changed:
            before = self._last.metrics if self._last is not None and self._last.unit == unit else {}
            # JSON has no NaN: a line that cannot be read back would hide the progress itself.
            finite = {name: value for name, value in {**before, **metrics}.items() if math.isfinite(value)}
            self._last = Progress(done=done, total=total, unit=unit, metrics=finite)
            self._pending = self._ticked = True
            if time.monotonic() - self._printed_at >= self._min_seconds:
                self._print()
            self._changed.notify()

    def alive(self) -> None:
        """A sign of life with no news: a response came, a batch was trained, a poll was answered."""
        self._ticked = True

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Around one long call that cannot tick by itself (loading weights, copying, uploading).

        Inside, the process's own work counts as a sign of life: processor time, or bytes read and written. A call
        that waits for ever uses neither and falls silent.
        """
        with self._changed:
            self._busy += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1

    def __enter__(self) -> Self:
        if self._enabled:
            self._thread = threading.Thread(target=self._beat, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            if self._pending:
                self._print()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _beat(self) -> None:
        with self._changed:
            while not self._closed:
                left = self._seconds_left()
                if left > 0:
                    self._changed.wait(left)
                elif self._last is not None and (self._pending or self._shows_life()):
                    self._print()
                else:
                    # Nothing moved: look again a period later, and stay silent until then.
                    self._looked_at = time.monotonic()

    def _shows_life(self) -> bool:
        before, self._worked = self._worked, _work_done()
        seconds, moved = self._worked[0] - before[0], self._worked[1] - before[1]
        return self._ticked or (
            self._busy > 0 and (seconds >= BUSY_SHARE * self._heartbeat_seconds or moved >= BUSY_BYTES)
        )

    def _seconds_left(self) -> float:
        """Until the pending line may be printed, or the next look for a sign of life."""
        due = self._printed_at + self._min_seconds if self._pending else self._looked_at + self._heartbeat_seconds
        return due - time.monotonic()

    def _print(self) -> None:
        assert self._last is not None
        self._pending = self._ticked = False
        self._printed_at = self._looked_at = time.monotonic()
        if not self._enabled:
            return
        try:
            self._stream.write(self._last.model_dump_json(by_alias=True, exclude_none=True) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            # The reader died (kill -9 of the local cluster): the work goes on, its output is what counts.
            self._enabled = False


def _work_done() -> tuple[float, int]:
    """Processor seconds and bytes read and written by this process so far."""
    try:
        counters = Path("/proc/self/io").read_text(encoding="ascii").split()
        moved = int(counters[1]) + int(counters[3])
    except OSError:
        moved = 0  # not Linux, or hidden by the sandbox: processor time must do
    return time.process_time(), moved
