"""The lanes of a client, each with one request in flight; more of them are opened as long as the server has room.

How many requests keep an engine busy hangs on the GPU, the model and the lengths: no number suits all,
and each request that the engine queues only waits there. vLLM tells how many do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import httpx

from selfreward_steps.client.traffic import Traffic

FIRST_LANES: Final = 64
MOST_LANES: Final = 1024
LOOK_SECONDS: Final = 0.25
"""Between two looks at the server's queue: a step of the engine and the way there are shorter."""
_FULL_LOOKS: Final = 4
"""Looks in a row that find the queue long until no more lanes are opened: prompts wait a moment to be read, whatever
room there is for their answers."""
_LONG_QUEUE: Final = 1 / 8
"""Of the requests in flight, those that wait where the engine has no room for more."""
_QUEUE: Final = "vllm:num_requests_waiting"


class Lanes:
    """Lanes that run until there are no more requests."""

    def __init__(self, open_lane: Callable[[], asyncio.Task[None]], traffic: Traffic) -> None:
        """Opens as many as are configured; `traffic` is told of more."""
        self._open_lane = open_lane
        self._traffic = traffic
        self._running = [open_lane() for _ in range(traffic.configured)]

    async def ended(self) -> None:
        """Wait until every lane has ended, those too that are opened meanwhile."""
        while busy := [lane for lane in self._running if not lane.done()]:
            await asyncio.wait(busy)

    async def widen(self, queued: Callable[[], Awaitable[float | None]]) -> None:
        """Double the lanes as long as each has a request in flight and `queued` says that few wait.

        Ends when many have waited for a second, since from there on more in flight would wait too; with a lane that has
        ended, since nothing is left to send; at MOST_LANES; and where nobody says.
        """
        full = 0
        while (count := len(self._running)) < MOST_LANES:
            await asyncio.sleep(LOOK_SECONDS)
            if any(lane.done() for lane in self._running):
                return
            if self._traffic.meter.in_flight < count:
                continue
            waiting = await queued()
            if waiting is None:
                return
            full = full + 1 if waiting > count * _LONG_QUEUE else 0
            if full == _FULL_LOOKS:
                return
            if full:
                continue
            self._running += [self._open_lane() for _ in range(min(count, MOST_LANES - count))]
            self._traffic.configured = len(self._running)


async def queued_requests(http: httpx.AsyncClient, url: str) -> float | None:
    """How many requests wait in the engine whose API is at `url`; None where the server does not say."""
    try:
        answer = await http.get(f"{url.removesuffix('/').removesuffix('/v1')}/metrics")
    except httpx.HTTPError:
        return None
    lines = [line for line in answer.text.splitlines() if line.startswith((f"{_QUEUE}{{", f"{_QUEUE} "))]
    try:
        # The number at the end of a line of Prometheus' text format.
        waiting = sum(float(line.rsplit(maxsplit=1)[-1]) for line in lines)
    except ValueError:
        return None
    return waiting if answer.is_success and lines and waiting >= 0 else None
