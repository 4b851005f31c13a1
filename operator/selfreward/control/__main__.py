"""The operator's process, `python -m selfreward.control`."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from kubernetes.aio.client import ApiClient

from selfreward.cluster.kubernetes import KubernetesClient
from selfreward.cluster.stores import THREADS, Stores
from selfreward.control.credentials import load_configuration
from selfreward.control.election import Election
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
    async with ApiClient(configuration) as api:
        client = KubernetesClient(api)
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
        election = Election(client, settings.lease_namespace, settings.lease_name, settings.identity, _now)
        async with answering(settings.port, operator.ailment, metrics):
            return await lead(operator, election if settings.elect else None, metrics, stop)


async def lead(operator: Operator, election: Election | None, metrics: Metrics, stop: asyncio.Event) -> int:
    """Act while leading, until `stop`; returns the exit code."""
    stopping = asyncio.create_task(stop.wait())
    try:
        if election is not None and not await _first(election.win(), stopping):
            return 0
        metrics.leader.set(1)
        acting = asyncio.create_task(operator.run())
        tasks = [acting, stopping, *([] if election is None else [asyncio.create_task(election.keep())])]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        # Nobody acts any more before the lead is given back.
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        metrics.leader.set(0)
        if acting in done:
            await acting
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
