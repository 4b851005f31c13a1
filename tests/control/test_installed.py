"""The check of an installation: what it says when the CRD, the rights or the operator are not there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from control.bench import bench, small_manifest
from selfreward.cluster.kubernetes import KubernetesClient
from selfreward.control.installed import faults


@asynccontextmanager
async def an_operator(status: int = 200, text: str = "ok") -> AsyncIterator[str]:
    """Its readiness endpoint, and what it answers."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, status=status)

    app = web.Application()
    app.router.add_get("/readyz", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/readyz"
    await runner.cleanup()


@pytest.mark.parametrize("namespaces", [[], ["default", "research"]])
async def test_an_installation_that_works(tmp_path: Path, namespaces: list[str]) -> None:
    async with bench(tmp_path, namespaces=("default", "research")) as made:
        made.cluster.create(small_manifest(tmp_path))
        client = KubernetesClient(made.cluster.client())
        async with an_operator() as url:
            assert await faults(client, namespaces, url) == []
        assert await faults(client, namespaces, "") == []


async def test_an_operator_that_is_not_ready(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        client = KubernetesClient(made.cluster.client())
        async with an_operator(503, "not yet") as url:
            assert await faults(client, [], url) == [f"{url}: answered 503: not yet"]
        (gone,) = await faults(client, [], url)
        assert gone.startswith(f"{url}: Cannot connect")


async def test_a_cluster_without_the_crd(tmp_path: Path) -> None:
    async with bench(tmp_path, absent=("SelfRewardRun",)) as made:
        (said,) = await faults(KubernetesClient(made.cluster.client()), [], "")
    assert said.startswith("runs of all namespaces cannot be listed: ")
