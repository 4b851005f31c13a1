"""The operator's process, `python -m selfreward.control`."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from kubernetes.aio.client import ApiClient

from selfreward.cluster.kubernetes import KubernetesClient
from selfreward.cluster.stores import THREADS, Stores
from selfreward.control.candidacy import Candidacy, standing
from selfreward.control.credentials import load_configuration
from selfreward.control.election import REQUEST_SECONDS, Election
from selfreward.control.endpoints import answering
from selfreward.control.logs import configure
from selfreward.control.metrics import Metrics
from selfreward.control.operator import Operator
from selfreward.control.settings import Settings, read_settings
from selfreward.control.watching import kopf_login

logger = logging.getLogger(__name__)


def main() -> int:
    """Run until told to stop; returns 1 when the lead was lost, so that the pod starts again as a follower."""
    settings = read_settings(sys.argv[1:])
    configure(settings.log_format, settings.log_level)
    return asyncio.run(run(settings))


async def run(settings: Settings) -> int:
    """The whole process: answer probes, wait for the lead, act, give the lead back."""
    stop = asyncio.Event()

    def take_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)

    take_signals()
    configuration = await load_configuration()
    metrics = Metrics(run_series=settings.run_series)
    async with AsyncExitStack() as stack:
        election = await stack.enter_async_context(standing(lambda: _election(settings))) if settings.elect else None
        api = await stack.enter_async_context(ApiClient(configuration))
        client = KubernetesClient(api, may_write=(lambda: True) if election is None else election.holds)
        # kopf takes the signals for itself each time its watches begin.
        operator = Operator(
            client,
            settings,
            lambda: kopf_login(configuration),
            _now,
            metrics=metrics,
            begun=take_signals,
            stores=Stores(ThreadPoolExecutor(THREADS, thread_name_prefix="store")),
        )
        await stack.enter_async_context(answering(settings.port, operator.ailment, metrics))
        return await lead(operator, election, metrics, stop)


@asynccontextmanager
async def _election(settings: Settings) -> AsyncIterator[Election]:
    """With a connection of its own: another event loop's cannot be used."""
    async with ApiClient(await load_configuration()) as api:
        client = KubernetesClient(api, timeout=REQUEST_SECONDS)
        yield Election(client, settings.lease_namespace, settings.lease_name, settings.identity, _now)


async def lead(operator: Operator, election: Candidacy | None, metrics: Metrics, stop: asyncio.Event) -> int:
    """Act while leading, until `stop`; returns the exit code."""
    stopping = asyncio.create_task(stop.wait())
    try:
        if election is not None and not await _first(election.win(), stopping):
            return 0
        metrics.leader.set(1)
        # First of all: the operator's first lists are long.
        keeping = [] if election is None else [asyncio.create_task(election.keep())]
        acting = asyncio.create_task(operator.run())
        tasks = [*keeping, acting, stopping]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        # Nobody acts any more before the lead is given back.
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        metrics.leader.set(0)
        for task in (acting, *keeping):
            if task in done:
                await task
        if stopping in done and election is not None:
            await election.resign()
        return 0 if stopping in done else 1
    finally:
        stopping.cancel()


async def _first(winning: Coroutine[None, None, None], stopping: asyncio.Task[bool]) -> bool:
    """Wait for the lead; returns False when told to stop before."""
    task = asyncio.create_task(winning)
    await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        return False
    await task
    return True


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit(main())
