"""The retry policy: whether a failed request is sent again, and after how long. Pure decisions, no network.

Tried again: 408, 425, 429, 5xx, broken or refused connections, timeouts, and (a few times) nonsense. Never tried
again: any other 4xx, which would end the same way and may cost money, and a 429 that says that no credit is left.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_RETRIED = frozenset({408, 425, 429})


@dataclass(frozen=True)
class RetryPolicy:
    """Bounds of trying again. The defaults outlast a vLLM that crashed and loads its weights anew."""

    outage_seconds: float = 900.0
    """Wall-clock time after a request's first failure at which it is given up, however many tries that was."""
    least_attempts: int = 3
    """Tries that a request gets even when each lasts until its timeout."""
    nonsense_attempts: int = 5
    """Tries when the answer is no completion: a broken proxy may recover, a server of another kind will not."""
    first_pause: float = 0.5
    """Seconds before the second try; doubled each time."""
    longest_pause: float = 30.0
    """Longest pause that is our own choice."""
    longest_retry_after: float = 300.0
    """Longest pause that the server may ask for."""

    def pause(self, attempt: int, retry_after: float | None) -> float:
        """Seconds to wait after try number `attempt` (from 1) failed.

        Half of our own pause is random, so that many clients do not come back together.
        """
        own = min(self.longest_pause, self.first_pause * 2.0 ** min(attempt - 1, 30)) * (0.5 + random.random() / 2)
        return max(own, min(retry_after or 0.0, self.longest_retry_after))


def is_retried(status: int) -> bool:
    """Whether a request answered with this HTTP status is worth another try."""
    return status >= 500 or status in _RETRIED


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """`Retry-After` as seconds (RFC 9110, 10.2.3: a number or a date); None when absent or unreadable."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds())
