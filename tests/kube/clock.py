"""The cluster's wall clock, told by the event loop, so that virtual time moves it too.

It must not look at the machine's clock: under `looptime` an hour passes in a millisecond.
"""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
GRAIN: Final = 1e-5
"""Seconds a wait takes at least. asyncio rings at once what is due within a nanosecond, and virtual time stands still
meanwhile: who waits for a moment that is one rounding error ahead would do so for ever."""


class Clock:
    """Aware UTC times that advance exactly as the running loop's clock does."""

    def __init__(self, epoch: datetime = EPOCH) -> None:
        """Start at `epoch`; a loop must be running."""
        self._loop = asyncio.get_running_loop()
        self._epoch = epoch
        self._start = self._loop.time()

    @property
    def seconds(self) -> float:
        """Seconds since the clock was started."""
        return self._loop.time() - self._start

    def now(self) -> datetime:
        """The time of day in the cluster."""
        return self._epoch + timedelta(seconds=self.seconds)

    def stamp(self) -> str:
        """The time of day as the API writes it: whole seconds (metav1.Time)."""
        return stamp(self.now())


def stamp(moment: datetime) -> str:
    """`moment` as metav1.Time: RFC 3339, UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str) -> datetime:
    """A metav1.Time or MicroTime as an aware datetime."""
    return datetime.fromisoformat(text)


async def pause(seconds: float) -> None:
    """Sleep; for ever if infinite, without a timer that virtual time would jump to."""
    if math.isinf(seconds):
        await asyncio.get_running_loop().create_future()
    await asyncio.sleep(seconds)
