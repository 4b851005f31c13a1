"""The work queue: which runs to look at, when, and which again after a failure.

Each key is worked on by one worker at a time and waits at most once, however often it is added (client-go's
`workqueue`, in asyncio). Time is the event loop's.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Hashable
from itertools import count
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

NEWS_AHEAD: Final = 30.0
"""Seconds: as long as what is looked at because of its time waits for its next look anyway."""
FIRST_BACKOFF: Final = 1.0
MAX_BACKOFF: Final = 300.0
_GRAIN: Final = 0.001
"""Seconds below which waiting is not worth a timer: one rounded down to nothing would ring again and again."""
_JITTER: Final = 0.2
"""Fraction by which a back-off is longer at most: many keys that failed together come back one by one."""


class WorkQueue(Generic[K]):
    """A queue of keys, each with the time when it is due."""

    def __init__(self, jitter: random.Random | None = None) -> None:
        self._due: dict[K, float] = {}
        self._rank: dict[K, float] = {}
        """By which keys are taken: their dates, or what they were put before."""
        self._order: list[tuple[float, int, K]] = []
        """A heap of ranks and keys, the lowest first. An entry whose rank is no more its key's, or whose key somebody
        works on, is of no use any more: it is dropped when it comes to the top."""
        self._entries = count()
        self._working: dict[K, float] = {}
        """Keys that somebody works on, with the time when that began."""
        self._waited: dict[K, float] = {}
        """Seconds for which those had been due when they were taken."""
        self._failures: dict[K, int] = {}
        self._news = asyncio.Event()
        self._jitter = jitter or random.Random()

    def add(self, key: K, after: float = 0, *, ahead: float = 0) -> None:
        """Look at `key` in `after` seconds, before all that has been due for less than `ahead` seconds by then; an
        earlier place that it has already is kept."""
        at = _now() + after
        if at - ahead < self._rank.get(key, float("inf")):
            self._rank[key] = at - ahead
            self._due[key] = min(at, self._due.get(key, at))
            self._enter(key)

    def add_news(self, key: K) -> None:
        """Look at `key` now, since something has happened to it: before those whose time alone has come, unless these
        have waited for :data:`NEWS_AHEAD` seconds."""
        self.add(key, ahead=NEWS_AHEAD)

    def retry(self, key: K, at_least: float = 0, at_most: float = MAX_BACKOFF) -> float:
        """Look at `key` again after its back-off, doubled each time, with jitter; returns the seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        wait = max(at_least, min(at_most, FIRST_BACKOFF * 2.0 ** min(failures, 30)))
        wait *= 1 + _JITTER * self._jitter.random()
        self.add(key, wait)
        return wait

    def forgive(self, key: K) -> None:
        """`key` went well: its next back-off is the first again."""
        self._failures.pop(key, None)

    async def take(self) -> K:
        """The next key that is due and that nobody works on. Call :meth:`done` when finished with it."""
        while True:
            wait = None
            while self._order:
                rank, _, key = self._order[0]
                if self._rank.get(key) != rank or key in self._working:
                    heapq.heappop(self._order)
                    continue
                wait = self._due[key] - _now()
                if wait > _GRAIN:
                    break
                heapq.heappop(self._order)
                self._waited[key] = -wait
                del self._due[key], self._rank[key]
                self._working[key] = _now()
                return key
            self._news.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                pass

    def done(self, key: K) -> None:
        """Nobody works on `key` any more."""
        self._working.pop(key, None)
        self._waited.pop(key, None)
        if key in self._due:
            self._enter(key)

    def _enter(self, key: K) -> None:
        heapq.heappush(self._order, (self._rank[key], next(self._entries), key))
        self._news.set()

    def waited(self, key: K) -> float:
        """For how many seconds a key that is worked on had been due when it was taken."""
        return max(0.0, self._waited.get(key, 0.0))

    @property
    def depth(self) -> int:
        """Keys that are due now."""
        return sum(at <= _now() for at in self._due.values())

    @property
    def oldest(self) -> float:
        """Seconds for which the most overdue key has waited or been worked on; 0 when none has."""
        since = [*self._due.values(), *self._working.values()]
        return max(0.0, _now() - min(since, default=_now()))


def _now() -> float:
    return asyncio.get_running_loop().time()
