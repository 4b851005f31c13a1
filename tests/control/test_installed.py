"""The check of an installation: what it says when the CRD, the rights or the operator are not there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from control.bench import bench, small_manifest
from selfreward.cluster.kubernetes import KubernetesClient
from selfreward.control.endpoints import answering
from selfreward.control.installed import faults
from selfreward.control.metrics import Metrics

HERE = "http://localhost"


@asynccontextmanager
async def unready() -> AsyncIterator[int]:
    async def wrong(_: web.Request) -> web.Response:
        return web.Response(text="not yet", status=503)

    app = web.Application()
    app.router.add_get("/readyz", wrong)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "localhost", 0).start()
    yield int(runner.addresses[0][1])
    await runner.cleanup()


@pytest.mark.parametrize("namespaces", [[], ["default", "research"]])
async def test_an_installation_that_works(tmp_path: Path, namespaces: list[str]) -> None:
    async with bench(tmp_path, namespaces=("default", "research")) as made:
        made.cluster.create(small_manifest(tmp_path))
        client = KubernetesClient(made.cluster.client())
        async with answering(0, lambda: "", Metrics()) as port:
            assert await faults(client, namespaces, f"{HERE}:{port}/readyz") == []
        assert await faults(client, namespaces, "") == []


async def test_an_operator_that_is_not_ready(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        client = KubernetesClient(made.cluster.client())
        async with unready() as port:
            url = f"{HERE}:{port}/readyz"
            assert await faults(client, [], url) == [f"{url}: answered 503: not yet"]
        (gone,) = await faults(client, [], url)
        assert gone.startswith(f"{url}: Cannot connect")


async def test_a_cluster_without_the_crd(tmp_path: Path) -> None:
    async with bench(tmp_path, absent=("SelfRewardRun",)) as made:
        (said,) = await faults(KubernetesClient(made.cluster.client()), [], "")
    assert said.startswith("runs of all namespaces cannot be listed: ")
