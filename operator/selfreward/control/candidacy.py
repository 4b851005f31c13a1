"""One replica's part in the election, in a thread of its own, with an event loop and connections of its own.

What the operator does for its runs keeps one event loop busy, with many runs for seconds, and its requests wait for one
another: a leader that renewed there would lose the lead by its own work, and start again with nothing known. A loop
that hangs for good is the liveness probe's to find, which asks that loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from selfreward.control.election import Election

_T = TypeVar("_T")


class Candidacy:
    """An :class:`Election` that runs on another thread's event loop, for callers on this one's."""

    def __init__(self, election: Election, loop: asyncio.AbstractEventLoop) -> None:
        self._election = election
        self._loop = loop

    async def win(self) -> None:
        """Wait until this replica leads."""
        await _on(self._loop, self._election.win())

    async def keep(self) -> None:
        """Return when this replica leads no more."""
        await _on(self._loop, self._election.keep())

    async def resign(self) -> None:
        """Give the lease up."""
        await _on(self._loop, self._election.resign())

    def holds(self) -> bool:
        """Whether nobody else can lead at this moment, which is known without waiting for the other thread."""
        return self._election.holds()


@asynccontextmanager
async def standing(connect: Callable[[], AbstractAsyncContextManager[Election]]) -> AsyncIterator[Candidacy]:
    """The part in an election that `connect` gives, which is entered and left on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="election", daemon=True)
    thread.start()
    try:
        context = connect()
        election = await _on(loop, context.__aenter__())
        try:
            yield Candidacy(election, loop)
        finally:
            await _on(loop, _leave(context))
    finally:
        await _on(loop, _end_all())
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        loop.close()


async def _leave(context: AbstractAsyncContextManager[Election]) -> None:
    await context.__aexit__(None, None, None)


async def _end_all() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def _on(loop: asyncio.AbstractEventLoop, work: Coroutine[None, None, _T]) -> _T:
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
