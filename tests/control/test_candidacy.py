"""The election on a thread of its own, by the real clock: an event loop that is kept busy loses no lead."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from selfreward.cluster.kubernetes import Cache, Conflict, KubernetesClient, KubernetesCluster, NotFound, Unavailable
from selfreward.cluster.kubernetes.resources import RUNS
from selfreward.control import election
from selfreward.control.candidacy import Candidacy, standing
from selfreward.control.election import Election
from selfreward.render import Images
from selfreward_steps.contract import StoreConfig

LEASE, RENEW, RETRY = 1.0, 0.6, 0.1
BUSY = 2.5
"""Seconds; more than twice a lease."""


@dataclass
class Lease:
    """An API server that has one Lease."""

    stored: dict[str, Any] | None = None
    version: int = 0
    refused: set[str] = field(default_factory=set)
    """Who is not answered any more."""

    @property
    def holder(self) -> str:
        return "" if self.stored is None else str(self.stored["spec"]["holderIdentity"])

    def write(self, item: dict[str, Any], version: object) -> dict[str, Any]:
        if version != (None if self.stored is None else self.stored["metadata"]["resourceVersion"]):
            raise Conflict("another was faster")
        self.version += 1
        self.stored = copy.deepcopy(item)
        self.stored["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.stored)


class Asked(KubernetesClient):
    """One replica's way to it."""

    def __init__(self, lease: Lease, who: str) -> None:
        self.lease = lease
        self.who = who

    def answer(self) -> None:
        if self.who in self.lease.refused:
            raise Unavailable("out of reach")

    async def get(self, *_: Any) -> dict[str, Any]:
        self.answer()
        if self.lease.stored is None:
            raise NotFound("none")
        return copy.deepcopy(self.lease.stored)

    async def create(self, _: Any, manifest: Any) -> dict[str, Any]:
        self.answer()
        return self.lease.write(manifest, None)

    async def replace(self, _: Any, item: Any, subresource: str = "") -> dict[str, Any]:
        self.answer()
        return self.lease.write(item, item["metadata"]["resourceVersion"])


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of a second."""
    for name, seconds in {"LEASE_SECONDS": LEASE, "RENEW_SECONDS": RENEW, "RETRY_SECONDS": RETRY}.items():
        monkeypatch.setattr(election, name, seconds)


@asynccontextmanager
async def replica(lease: Lease, name: str) -> AsyncIterator[Candidacy]:
    @asynccontextmanager
    async def connect() -> AsyncIterator[Election]:
        yield Election(Asked(lease, name), "default", "operator", name, lambda: datetime.now(UTC))

    async with standing(connect) as candidacy:
        yield candidacy


def work() -> None:
    """Leave no event loop of this thread a turn, and the other threads theirs of the interpreter alone."""
    until = time.monotonic() + BUSY
    while time.monotonic() < until:
        pass


def test_a_loop_that_is_busy_for_longer_than_a_lease_keeps_the_lead() -> None:
    async def play() -> None:
        lease = Lease()
        async with replica(lease, "a") as first, replica(lease, "b") as second:
            await first.win()
            keeping = asyncio.create_task(first.keep())
            waiting = asyncio.create_task(second.win())
            await asyncio.sleep(0)
            work()
            assert (first.holds(), second.holds(), lease.holder) == (True, False, "a")
            await asyncio.sleep(RETRY)
            assert not keeping.done()
            assert not waiting.done()
            keeping.cancel()
            await first.resign()
            assert not first.holds()
            await asyncio.wait_for(waiting, LEASE)
            assert lease.holder == "b"

    asyncio.run(play())


def test_what_a_busy_loop_had_decided_is_not_written_once_another_may_lead() -> None:
    class Sent(Exception):
        """A request left this process."""

    class Server:
        async def param_serialize(self, *_: Any, **__: Any) -> tuple[()]:
            return ()

        async def call_api(self, *_: Any, **__: Any) -> None:
            raise Sent

    def opened(_: StoreConfig) -> Any:
        raise AssertionError("artifacts were deleted")

    async def play() -> None:
        lease = Lease()
        async with replica(lease, "a") as first, replica(lease, "b") as second:
            await first.win()
            client = KubernetesClient(Server(), may_write=first.holds)  # type: ignore[arg-type]
            cluster = KubernetesCluster(client, Cache(), Images(), lambda: datetime.now(UTC), opened)
            keeping = asyncio.create_task(first.keep())
            waiting = asyncio.create_task(second.win())
            await asyncio.sleep(RETRY)
            with pytest.raises(Sent):
                await client.merge(RUNS, "default", "demo", {})
            lease.refused.add("a")
            work()
            assert lease.holder == "b"
            # Nothing has told this loop of it yet.
            assert not keeping.done()
            with pytest.raises(Unavailable, match="the lead is lost"):
                await client.merge(RUNS, "default", "demo", {})
            with pytest.raises(Unavailable, match="the lead is lost"):
                await cluster.delete_artifacts(StoreConfig(uri="file:///runs"))
            with pytest.raises(Sent):
                await client.get(RUNS, "default", "demo")
            await asyncio.wait_for(asyncio.gather(keeping, waiting), 1)

    asyncio.run(play())


def test_a_way_to_the_api_server_that_cannot_be_had_ends_the_process() -> None:
    @asynccontextmanager
    async def connect() -> AsyncIterator[Election]:
        raise OSError("no credentials")
        yield

    async def play() -> None:
        async with standing(connect):
            raise AssertionError("stands all the same")

    with pytest.raises(OSError, match="no credentials"):
        asyncio.run(play())
