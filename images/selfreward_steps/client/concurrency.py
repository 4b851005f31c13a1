"""A meter of how busy the client keeps the server: requests in flight, averaged over time, until the tail.

The tail begins when nothing is left to send; from there on requests can only become fewer, which says nothing about
the client. It must not know what a request is.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class ConcurrencyMeter:
    """Integrates the number in flight from the first dispatch to the beginning of the tail."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._in_flight = 0
        self._started: float | None = None
        self._changed = 0.0
        self._area = 0.0
        self._ended: float | None = None
        self._only_a_tail = True

    @property
    def in_flight(self) -> int:
        """Requests that are with the server now."""
        return self._in_flight

    def sent(self) -> None:
        """A request was handed to the network."""
        self._advance()
        self._in_flight += 1

    def returned(self) -> None:
        """It was answered or has failed; while it waits to be tried again it is not in flight."""
        self._advance()
        self._in_flight -= 1
        if self._ended is None:
            self._only_a_tail = False

    def tail(self) -> None:
        """Nothing is left to send. Later calls change nothing."""
        self._advance()
        if self._ended is None:
            self._ended = self._clock()

    def area(self) -> tuple[float, float] | None:
        """Requests in flight summed over time, and the seconds of it: their quotient is the mean in flight. None before
        the tail, and when all requests fitted in at once, so that there was only a tail."""
        if self._only_a_tail or self._started is None or self._ended is None or self._ended <= self._started:
            return None
        return self._area, self._ended - self._started

    def _advance(self) -> None:
        if self._ended is not None:
            return
        now = self._clock()
        if self._started is None:
            self._started = now
        else:
            self._area += self._in_flight * (now - self._changed)
        self._changed = now
