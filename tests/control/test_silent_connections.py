"""Connections that were cut off silently on their way: what is sent is taken, no answer comes, and nobody closes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration
from selfreward.cluster.kubernetes import KubernetesClient, Unavailable
from selfreward.cluster.kubernetes.client import READ_TIMEOUT
from selfreward.cluster.kubernetes.resources import LEASES
from selfreward.control.election import REQUEST_SECONDS, Election

PATH = LEASES.path("default", "operator")


class Way:
    """A proxy before the API server, whose connections fall silent on demand."""

    def __init__(self, port: int) -> None:
        self.opened = 0
        self._port = port
        self._audible: set[asyncio.Task[Any]] = set()

    def fall_silent(self) -> None:
        """Of every connection that is open now."""
        for task in self._audible:
            task.cancel()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        sides = [(reader, there_writer), (there_reader, writer)]
        pumps = [asyncio.create_task(self._pump(*side)) for side in sides]
        self._audible |= set(pumps)
        await asyncio.wait(pumps)
        self._audible -= set(pumps)
        # Only the other side ends it.
        while await reader.read(1 << 16):
            pass
        writer.close()
        there_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()


class Server:
    """As much of an API server as one Lease needs."""

    def __init__(self) -> None:
        self._lease: dict[str, Any] | None = None
        self._version = 0

    async def answer(self, request: web.Request) -> web.Response:
        if request.method in ("PUT", "POST"):
            self._version += 1
            self._lease = await request.json()
            self._lease["metadata"]["resourceVersion"] = str(self._version)
        if self._lease is None:
            return web.json_response({"reason": "NotFound"}, status=404)
        return web.json_response(self._lease)


@asynccontextmanager
async def a_way() -> AsyncIterator[tuple[Way, ApiClient]]:
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", Server().answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    way = Way(runner.addresses[0][1])
    proxy = await asyncio.start_server(way.carry, "127.0.0.1", 0)
    configuration = Configuration(host=f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
    configuration.retries = None
    try:
        async with ApiClient(configuration) as api:
            yield way, api
    finally:
        proxy.close()
        await runner.cleanup()


async def test_a_leader_whose_connection_is_cut_off_renews_over_another() -> None:
    async with a_way() as (way, api):
        client = KubernetesClient(api, timeout=REQUEST_SECONDS)
        one = Election(client, "default", "operator", "a", lambda: datetime.now(UTC))
        await one.win()
        keeping = asyncio.create_task(one.keep())
        for opened in (1, 2, 3):
            await asyncio.sleep(30)
            assert way.opened == opened
            way.fall_silent()
            for _ in range(20):
                await asyncio.sleep(1)
                assert one.holds()
        assert not keeping.done()
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping


async def test_an_object_that_is_not_answered_is_given_up_long_before_a_list() -> None:
    async with a_way() as (way, api):
        asked = KubernetesClient(api)
        await asked.create(LEASES, {"metadata": {"namespace": "default", "name": "operator"}, "spec": {}})
        way.fall_silent()
        with pytest.raises(Unavailable, match=PATH):
            await asyncio.wait_for(asked.get(LEASES, "default", "operator"), READ_TIMEOUT + 1)
        # The next goes over a connection of its own.
        assert (await asked.get(LEASES, "default", "operator"))["metadata"]["name"] == "operator"
        assert way.opened == 2
