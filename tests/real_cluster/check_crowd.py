"""A run beside a hundred others that wait: what it hands from step to step does not wait with them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest_asyncio
from selfreward.api import Phase, StepState

from real_cluster.api import Api, Object, until
from real_cluster.check_walks import P50_SECONDS, P99_SECONDS
from real_cluster.ground import Ground
from real_cluster.measuring import Measured
from real_cluster.operators import Operators, quantile
from real_cluster.runs import Run, short, start, whole

NAMESPACE = "selfreward-suite-crowd"
CROWD = 100
NOWHERE = {"selfreward.dev/nowhere": "true"}


def waiting(ground: Ground, number: int) -> Object:
    """A run whose first pod no node takes: unfinished, with a child, looked at again and again."""
    manifest = short(NAMESPACE, ground, f"waits-{number:03d}", deadlines={"start": 86400})
    manifest["spec"]["workloads"]["processing"]["nodeSelector"] = NOWHERE
    return manifest


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def crowd(api: Api, ground: Ground, operators: Operators) -> AsyncIterator[float]:
    """The runs, each with its pod waiting; how many seconds that took. Afterwards all are deleted."""
    await ground.open(NAMESPACE)
    began = time.monotonic()
    runs = [await start(api, waiting(ground, number)) for number in range(CROWD)]

    async def have_begun() -> bool:
        found = await api.list("Job", NAMESPACE)
        return len(found) == CROWD

    await until(have_begun, "every run has its first child", 300)
    yield time.monotonic() - began
    await asyncio.gather(*(api.delete("SelfRewardRun", NAMESPACE, run.name) for run in runs))

    async def are_gone() -> bool:
        return not await api.list("SelfRewardRun", NAMESPACE) and not await api.list("Pod", NAMESPACE)

    await until(are_gone, "all are gone with what they had", 300)


async def test_the_hand_off_is_quick_beside_a_hundred_others(
    api: Api, ground: Ground, operators: Operators, crowd: float, measured: Measured
) -> None:
    measured(f"{CROWD} runs had their first child after {crowd:.0f} s")
    before = await operators.handoffs()
    run = await start(api, whole(await ground.open("selfreward-suite-beside"), ground))
    status = await run.finished()
    assert status.phase is Phase.SUCCEEDED, await run.story()
    now = await operators.handoffs()
    buckets = [(bound, count - earlier) for (bound, count), (_, earlier) in zip(now, before, strict=True)]
    assert buckets[-1][1] >= 4
    p50, p99 = quantile(buckets, 0.5), quantile(buckets, 0.99)
    measured(f"{buckets[-1][1]:.0f} hand-offs beside {CROWD} runs: p50 <= {p50} s, p99 <= {p99} s")
    assert p50 <= P50_SECONDS
    assert p99 <= P99_SECONDS
    other = (await Run(api, NAMESPACE, "waits-000").rows())["import"]
    assert other.state in (StepState.STARTING, StepState.RUNNING), "they have waited all the while"
