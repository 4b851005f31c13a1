"""Kept engines by real pods: one vLLM serves every model of a run, strangers cannot change what it serves, and a server
and a training take turns on devices that one claim gives to both.

The first needs a real engine, as the quickstart does (`QUICKSTART_DEVICE`); the last a driver for dynamic resource
allocation whose DeviceClass `DEVICE_CLASS` names.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import aiohttp
import pytest
from selfreward.api import Keeping, Phase, ServingState
from selfreward.render.metadata import ENGINE, RUN

from real_cluster.api import Api, until
from real_cluster.check_quickstart import DEVICE, SECONDS, quickstart
from real_cluster.ground import Ground
from real_cluster.measuring import Measured
from real_cluster.operators import Operators
from real_cluster.runs import Run, rows_of, short, start

DEVICE_CLASS: Final = os.environ.get("DEVICE_CLASS", "")
_PERIOD: Final = 1.0


@dataclass
class Seen:
    """What was seen of a run's servers, once a second."""

    ready: dict[str, datetime] = field(default_factory=dict)
    """Since when each model was served."""
    keeping: set[Keeping] = field(default_factory=set)
    deployments: set[str] = field(default_factory=set)
    pods: set[str] = field(default_factory=set)
    """Their uids."""
    restarts: int = 0

    async def look(self, run: Run) -> None:
        for serving in (await run.status()).servings:
            self.keeping.add(serving.keeping)
            if serving.state is ServingState.READY:
                self.ready.setdefault(serving.model, serving.since)
        label = f"{RUN}={run.name}"
        self.deployments |= {each["metadata"]["uid"] for each in await run.api.list("Deployment", run.namespace, label)}
        for pod in await run.api.list("Pod", run.namespace, f"{label},{ENGINE}"):
            self.pods.add(pod["metadata"]["uid"])
            counts = [each["restartCount"] for each in pod["status"].get("containerStatuses") or []]
            self.restarts = max(self.restarts, *counts, 0)


@asynccontextmanager
async def watched(run: Run) -> AsyncIterator[Seen]:
    """Look at the run's servers all the while."""
    seen = Seen()

    async def look() -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await seen.look(run)
            await asyncio.sleep(_PERIOD)

    task = asyncio.create_task(look())
    try:
        yield seen
    finally:
        task.cancel()


@pytest.mark.skipif(not DEVICE, reason="QUICKSTART_DEVICE says neither gpu nor cpu: half an hour with a real engine")
async def test_one_vllm_serves_every_model(api: Api, ground: Ground, operators: Operators, measured: Measured) -> None:
    manifest = quickstart(await ground.open("selfreward-suite-engines"), ground)
    manifest["spec"]["serving"]["keep"] = "awake"
    run = await start(api, manifest)
    async with watched(run) as seen:
        await run.reaches("respond-1")
        (pod,) = await api.list("Pod", run.namespace, f"{RUN}={run.name},{ENGINE}")
        address = f"{pod['status']['podIP']}:8000"
        told = json.loads(await ground.run_script(ground.home, "judge", ["stranger.py", address]))
        # 0: the cluster's network enforces policies.
        assert all(status in (0, 401, 404) for status in told.values()), told
        status = await run.finished(SECONDS)
    assert status.phase is Phase.SUCCEEDED, await run.story()
    rows = rows_of(status)
    assert {key: (row.attempt, row.reason) for key, row in rows.items() if row.attempt != 1} == {}
    assert seen.keeping == {Keeping.AWAKE}
    assert (len(seen.deployments), len(seen.pods), seen.restarts) == (1, 1, 0), "one engine, never started again"
    assert {"sft-baseline", "m1", "m2"} <= set(seen.ready)
    assert (await ground.look(status.artifacts))["problems"] == []
    for model, step in (("m1", "sft"), ("m2", "dpo-1")):
        committed = rows[step].finished_at
        assert committed is not None
        measured(f"{model} served {(seen.ready[model] - committed).total_seconds():.0f} s after its commit was seen")


@pytest.mark.skipif(not DEVICE_CLASS, reason="DEVICE_CLASS names no class of devices")
async def test_servers_and_training_share_devices(api: Api, ground: Ground, operators: Operators) -> None:
    manifest = short(await ground.open("selfreward-suite-devices"), ground)
    manifest["spec"]["serving"]["deviceClassName"] = DEVICE_CLASS
    run = await start(api, manifest)
    await run.reaches("dpo-1")
    (claim,) = await api.list("ResourceClaim", run.namespace)
    (device,) = claim["status"]["allocation"]["devices"]["results"]
    status = await run.finished()
    assert status.phase is Phase.SUCCEEDED, await run.story()
    assert {row.attempt for row in rows_of(status).values()} == {1}

    async def is_free() -> bool:
        found = await api.get("ResourceClaim", run.namespace, claim["metadata"]["name"])
        return not ((found or {}).get("status") or {}).get("allocation")

    await until(is_free, f"{device['device']} is free", 60)
