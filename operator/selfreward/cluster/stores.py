"""The stores of all runs, asked in threads and each endpoint for itself, so that one that is dead delays nobody else.

A run names its own storage, which may lead anywhere. An endpoint that has not answered yet, or not the last time, is
asked by one thread; who waits for it waits half a second and comes again later. It must not know runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from selfreward_steps.contract import StoreConfig
from selfreward_steps.errors import InfrastructureError, PermanentError
from selfreward_steps.store import Store, StoreReason

_T = TypeVar("_T")
THREADS: Final = 128
"""Most requests to stores at a time. A thread that waits for an endpoint costs memory and no processor."""
AT_A_TIME: Final = 16
"""Most requests at a time to an endpoint that answers."""
PATIENCE: Final = 0.5
"""Seconds to wait for one that is not known to answer."""
FIRST_PAUSE: Final = 2.0
LONGEST_PAUSE: Final = 60.0
"""Seconds before one that failed is asked again; doubled from the first to the longest."""


@dataclass
class _Endpoint:
    """What is known of one endpoint."""

    answers: bool = False
    """Whether it did the last time; a refusal is an answer."""
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_A_TIME))
    trial: asyncio.Task[Any] | None = None
    pause: float = FIRST_PAUSE
    closed_until: float = 0.0
    failure: str = ""


class Stores:
    """The way from the event loop to the stores."""

    def __init__(self, executor: Executor | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`executor`: the threads, the loop's own by default; a process that serves many gives :data:`THREADS`."""
        self._executor = executor
        self._clock = clock
        self._endpoints: dict[str, _Endpoint] = {}

    async def ask(self, config: StoreConfig, question: Callable[[], _T]) -> _T:
        """The result of `question`, a blocking call of a store of `config`, in a thread.

        Raises what it raises, and InfrastructureError at once while its endpoint is known to be out of reach.
        """
        endpoint = self._endpoints.setdefault(_place(config), _Endpoint())
        if not endpoint.answers:
            trial, own = endpoint.trial, None
            if trial is None or trial.done():
                trial = endpoint.trial = own = self._begin_trial(endpoint, question)
            await asyncio.wait([trial], timeout=PATIENCE)
            if not trial.done():
                raise InfrastructureError(StoreReason.UNAVAILABLE, f"{_place(config)} has not answered yet")
            if own is not None:
                return own.result()
            if not endpoint.answers:
                trial.result()
                raise InfrastructureError(StoreReason.UNAVAILABLE, endpoint.failure)
        async with endpoint.places:
            return await self._in_thread(endpoint, question)

    async def open(self, config: StoreConfig, opened: Callable[[StoreConfig], Store]) -> Store:
        """The store of `config`, opened in a thread: nothing is sent, but making a client takes a third of a second."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, opened, config)

    def _begin_trial(self, endpoint: _Endpoint, question: Callable[[], _T]) -> asyncio.Task[_T]:
        """Ask an endpoint that is not known to answer; raises InfrastructureError while it is left alone."""
        if self._clock() < endpoint.closed_until:
            raise InfrastructureError(StoreReason.UNAVAILABLE, endpoint.failure)
        trial = asyncio.create_task(self._in_thread(endpoint, question))
        # Whoever began it may have left; what came of it is then in what is known of the endpoint.
        trial.add_done_callback(lambda task: task.cancelled() or task.exception())
        return trial

    async def _in_thread(self, endpoint: _Endpoint, question: Callable[[], _T]) -> _T:
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._executor, question)
        except InfrastructureError as error:
            endpoint.answers = False
            endpoint.failure = str(error)
            endpoint.closed_until = self._clock() + endpoint.pause
            endpoint.pause = min(LONGEST_PAUSE, endpoint.pause * 2)
            raise
        except PermanentError:
            endpoint.answers = True
            raise
        endpoint.answers, endpoint.pause = True, FIRST_PAUSE
        return result


def _place(config: StoreConfig) -> str:
    """What one endpoint is: a server, AWS by bucket, or a folder without the run's own two."""
    return config.endpoint_url or config.uri.rsplit("/", 2)[0]
