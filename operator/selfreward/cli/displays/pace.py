"""The pace of running steps: how fast they go and when they will be done, from what was seen of them lately."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from selfreward.api import StepStatus

_WINDOW: Final = timedelta(seconds=60)
"""How long back a rate looks: long enough for slow steps, short enough to follow a change."""
_PATIENCE: Final = 3
"""Silences of this many times the longest gap between two points end what is known of the pace."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Units a second, and the time left at that pace; None while they cannot be known."""

    rate: float | None = None
    left: timedelta | None = None


@dataclass(slots=True)
class _History:
    attempt: int
    points: deque[tuple[datetime, int]] = field(default_factory=deque)


class Paces:
    """The progress of running steps over the last minute, from which their pace follows."""

    def __init__(self) -> None:
        self._histories: dict[str, _History] = {}

    def pace(self, row: StepStatus, now: datetime) -> Pace:
        """The pace of a running step; to be asked at every look."""
        if row.progress is None:
            return Pace()
        history = self._histories.get(row.key)
        if history is None or history.attempt != row.attempt:
            history = self._histories[row.key] = _History(row.attempt)
        points = history.points
        if not points or points[-1][1] != row.progress.done:
            points.append((now, row.progress.done))
            while len(points) > 2 and points[0][0] < now - _WINDOW:
                points.popleft()
        # Between two points: how long ago the last one was says nothing of the pace while a step works on the next.
        seconds = (points[-1][0] - points[0][0]).total_seconds()
        done = points[-1][1] - points[0][1]
        silence = now - points[-1][0]
        if seconds < 1 or done <= 0 or silence > max(_WINDOW, _PATIENCE * _longest(points)):
            return Pace()
        rate = done / seconds
        if row.progress.total is None:
            return Pace(rate)
        left = timedelta(seconds=max(0, row.progress.total - points[-1][1]) / rate) - silence
        # Later than reckoned: nobody knows by how much.
        return Pace(rate, left if left > timedelta() else None)


def _longest(points: Iterable[tuple[datetime, int]]) -> timedelta:
    return max(after - before for (before, _), (after, _) in pairwise(points))
