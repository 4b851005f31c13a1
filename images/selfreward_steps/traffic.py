"""What a batch of requests put on the wire, as the numbers of the step's result. It must not send anything."""

from __future__ import annotations

from dataclasses import dataclass, field

from selfreward_steps.concurrency import ConcurrencyMeter


@dataclass
class Traffic:
    """What went over the wire, for the step's metrics."""

    configured: int
    meter: ConcurrencyMeter = field(default_factory=ConcurrencyMeter)
    requests: int = 0
    retries: int = 0
    tokens: int = 0
    started: float = 0.0
    ended: float = 0.0

    def metrics(self) -> dict[str, float]:
        """Metrics by name. `concurrency_measured` is absent when every request fitted in at once."""
        seconds = self.ended - self.started
        metrics: dict[str, float] = {
            "concurrency_configured": self.configured,
            "requests": self.requests,
            "retries": self.retries,
            "completion_tokens": self.tokens,
            "tokens_per_second": self.tokens / seconds if seconds > 0 else 0.0,
        }
        measured = self.meter.mean()
        return metrics if measured is None else {**metrics, "concurrency_measured": measured}
