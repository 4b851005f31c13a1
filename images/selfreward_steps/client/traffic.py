"""Counters of what a client's batches put on the wire, for the step's result. It must not send anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from selfreward_steps.client.concurrency import ConcurrencyMeter


@dataclass
class Traffic:
    """What went over the wire in all batches, for the step's metrics."""

    configured: int
    clock: Callable[[], float] = time.monotonic
    meter: ConcurrencyMeter = field(default_factory=ConcurrencyMeter)
    """Requests in flight over the newest batch."""
    requests: int = 0
    """Requests that were answered."""
    refused: int = 0
    """Requests that the server did not take: the matter of their rows alone."""
    retries: int = 0
    tokens: int = 0
    _seconds: float = 0.0
    """Time of the batches that have ended."""
    _began: float | None = None
    _area: float = 0.0
    _area_seconds: float = 0.0
    """Time of the batches that have ended, each without its tail."""

    def begin(self) -> None:
        """Start the clock of a batch, whose first request is about to be sent."""
        self.meter = ConcurrencyMeter(self.clock)
        self._began = self.clock()

    def end(self) -> None:
        """Stop the clock of the batch, which has ended, well or not."""
        self._seconds, self._began = self.seconds, None
        if (measured := self.meter.area()) is not None:
            self._area += measured[0]
            self._area_seconds += measured[1]

    @property
    def seconds(self) -> float:
        """How long batches have been under way, those that ended and the one that runs."""
        return self._seconds + (self.clock() - self._began if self._began is not None else 0.0)

    def metrics(self) -> dict[str, float]:
        """Metrics by name. `concurrency_measured` is the mean of the batches that ended, by their time; it is absent
        when each batch fitted in at once."""
        seconds = self.seconds
        metrics: dict[str, float] = {
            "concurrency_configured": self.configured,
            "requests": self.requests,
            "retries": self.retries,
            "completion_tokens": self.tokens,
            "tokens_per_second": self.tokens / seconds if seconds > 0 else 0.0,
        }
        if self._area_seconds > 0:
            metrics["concurrency_measured"] = self._area / self._area_seconds
        if self.refused:
            metrics["refused"] = self.refused
        return metrics
