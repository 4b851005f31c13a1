"""Handling of SIGTERM and SIGINT in training: finish the step, keep a checkpoint, stop as the launcher would have."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final, Self

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """While entered, a signal is remembered instead of obeyed; `obey` then hands it to whom it was for."""

    def __init__(self) -> None:
        self._received: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def received(self) -> bool:
        return self._received is not None

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def obey(self) -> None:
        """Stop now: for the rank that got the signal, and for those that only heard of it."""
        number = self._received if self._received is not None else signal.SIGTERM
        handler: Callable[[int, FrameType | None], Any] | int | None = self._before[number]
        if callable(handler):
            handler(number, None)
        raise SystemExit(128 + number)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._received = number
