"""Which of several replicas acts, and how soon another does when that one is gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from kube import FakeCluster, Fault, FaultKind
from selfreward.cluster.kubernetes import KubernetesClient
from selfreward.control.election import LEASE_SECONDS, REQUEST_SECONDS, Election

TAKE_OVER_SECONDS = 20.0


@asynccontextmanager
async def cluster_of(folder: Path) -> AsyncIterator[FakeCluster]:
    async with FakeCluster(folder, controllers=False) as cluster:
        yield cluster


def candidate(cluster: FakeCluster, name: str) -> Election:
    """A replica."""
    client = KubernetesClient(cluster.client(name), timeout=REQUEST_SECONDS)
    return Election(client, "default", "operator", name, cluster.clock.now)


async def lead(election: Election, log: list[tuple[str, float]], name: str, cluster: FakeCluster) -> None:
    """As the process does: act while leading."""
    await election.win()
    log.append((f"{name} leads", cluster.clock.seconds))
    await election.keep()
    log.append((f"{name} ends", cluster.clock.seconds))


async def one_after_the_other(
    cluster: FakeCluster, log: list[tuple[str, float]]
) -> tuple[asyncio.Task[None], asyncio.Task[None]]:
    """A leader, and one who waits since a second later."""
    first = asyncio.create_task(lead(candidate(cluster, "a"), log, "a", cluster))
    await cluster.idle(1)
    return first, asyncio.create_task(lead(candidate(cluster, "b"), log, "b", cluster))


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def holder(cluster: FakeCluster) -> str:
    lease = cluster.get("Lease", "operator")
    return "" if lease is None else str(lease["spec"]["holderIdentity"])


async def test_one_leads_for_as_long_as_it_lives(tmp_path: Path) -> None:
    log: list[tuple[str, float]] = []
    async with cluster_of(tmp_path) as cluster:
        tasks = [asyncio.create_task(lead(candidate(cluster, each), log, each, cluster)) for each in ("a", "b")]
        await cluster.idle(300)
        for task in tasks:
            await end(task)
    assert len(log) == 1


async def test_the_leader_is_killed_and_another_acts_within_20_s(tmp_path: Path) -> None:
    log: list[tuple[str, float]] = []
    async with cluster_of(tmp_path) as cluster:
        first, second = await one_after_the_other(cluster, log)
        await cluster.idle(60)
        await end(first)
        killed = cluster.clock.seconds
        await cluster.until(lambda: holder(cluster) == "b", TAKE_OVER_SECONDS)
        await cluster.idle(1)
        await end(second)
    assert [name for name, _ in log] == ["a leads", "b leads"]
    assert log[1][1] - killed <= TAKE_OVER_SECONDS


async def test_the_lease_of_a_killed_leader_is_taken_as_soon_as_it_runs_out(tmp_path: Path) -> None:
    log: list[tuple[str, float]] = []
    async with cluster_of(tmp_path) as cluster:
        first, second = await one_after_the_other(cluster, log)
        await cluster.idle(2.5)
        await end(first)
        # The second looks at 1, 3 and 5 s: it sees the renewal of 2 s one second after it was made.
        await cluster.idle(20)
        await end(second)
    assert log[1] == ("b leads", pytest.approx(3 + LEASE_SECONDS, abs=0.1))


async def test_a_leader_that_resigns_is_followed_at_once(tmp_path: Path) -> None:
    log: list[tuple[str, float]] = []
    async with cluster_of(tmp_path) as cluster:
        one = candidate(cluster, "a")
        first = asyncio.create_task(lead(one, log, "a", cluster))
        await cluster.idle(1)
        second = asyncio.create_task(lead(candidate(cluster, "b"), log, "b", cluster))
        await cluster.idle(30)
        await end(first)
        await one.resign()
        await cluster.until(lambda: holder(cluster) == "b", 3)
        await end(second)


async def test_a_leader_that_cannot_renew_ends_before_another_begins(tmp_path: Path) -> None:
    log: list[tuple[str, float]] = []
    async with cluster_of(tmp_path) as cluster:
        first, second = await one_after_the_other(cluster, log)
        await cluster.idle(30)
        cluster.faults.add(Fault(answer=503, on="* leases", user_agent="a", times=0))
        await cluster.until(lambda: holder(cluster) == "b", 60)
        await cluster.idle(1)
        for task in (first, second):
            await end(task)
    assert [name for name, _ in log] == ["a leads", "a ends", "b leads"]


async def test_one_fault_of_each_renewal_costs_nobody_the_lead(tmp_path: Path) -> None:
    log: list[tuple[str, float]] = []
    async with cluster_of(tmp_path) as cluster:
        cluster.faults.add(*[Fault(answer=500, on="update leases", nth=nth) for nth in range(2, 100, 2)])
        tasks = [asyncio.create_task(lead(candidate(cluster, each), log, each, cluster)) for each in ("a", "b")]
        await cluster.idle(120)
        for task in tasks:
            await end(task)
    assert len(log) == 1


@pytest.mark.parametrize("verb", ["get", "update"])
async def test_one_request_that_nobody_answers_costs_nobody_the_lead(tmp_path: Path, verb: str) -> None:
    log: list[tuple[str, float]] = []
    async with cluster_of(tmp_path) as cluster:
        for nth in (5, 15, 25):
            cluster.faults.add(
                Fault(FaultKind.TIMEOUT_AFTER_COMMIT, on=f"{verb} leases", user_agent="a", nth=nth, seconds=3600)
            )
        first, second = await one_after_the_other(cluster, log)
        await cluster.idle(120)
        struck = len(cluster.faults.injected)
        for task in (first, second):
            await end(task)
    assert struck == 3
    assert [name for name, _ in log] == ["a leads"]


async def test_a_request_that_nobody_answers_delays_no_follower(tmp_path: Path) -> None:
    log: list[tuple[str, float]] = []
    async with cluster_of(tmp_path) as cluster:
        first, second = await one_after_the_other(cluster, log)
        await cluster.idle(10)
        await end(first)
        killed = cluster.clock.seconds
        cluster.faults.add(Fault(FaultKind.TIMEOUT_AFTER_COMMIT, on="get leases", user_agent="b", seconds=3600))
        await cluster.until(lambda: holder(cluster) == "b", 60)
        await cluster.idle(1)
        await end(second)
    assert log[1][1] - killed <= TAKE_OVER_SECONDS
