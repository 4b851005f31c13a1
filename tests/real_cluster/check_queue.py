"""Runs in queues of a real Kueue: held back nothing counts, admitted they go on, evicted they make room."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from selfreward.api import ConditionType, Phase, Reason, RunStatus
from selfreward.render.metadata import RUN

from real_cluster.api import Api, Object, until
from real_cluster.ground import Ground
from real_cluster.invariants import GPU_SECONDS
from real_cluster.measuring import Measured
from real_cluster.operators import Operators
from real_cluster.queues import ON_NODES, QUEUE_LABEL, Queue, priorities, queue, told
from real_cluster.runs import Run, condition, rows_of, short, start

HELD_SECONDS: Final = 90
"""Longer than the run's own patience with a step that has not started."""
_CHILDREN: Final = ("Job", "PyTorchJob", "Deployment", "Pod")


async def test_a_run_is_held_and_let_go(api: Api, ground: Ground, operators: Operators, measured: Measured) -> None:
    async with queue(api, ground, "selfreward-suite-queue", "8", stop="Hold") as made:
        manifest = made.put(short(made.namespace, ground, deadlines={"start": HELD_SECONDS // 3}))
        run = await start(api, manifest)
        await run.reaches("import", timeout=60)
        await asyncio.sleep(HELD_SECONDS)
        assert await run.pods() == []
        (job,) = await api.list("Job", made.namespace)
        assert job["spec"]["suspend"] is True
        row = (await run.rows())["import"]
        assert (row.attempt, row.failures) == (1, 0), await run.story()
        measured(f"held {HELD_SECONDS} s: {row.state} {row.reason} {row.message}")
        await made.open()

        async def has_pods() -> bool:
            return bool(await run.pods())

        seconds = await until(has_pods, "the queue lets the import go", 60)
        measured(f"a pod {seconds:.0f} s after the queue was opened")
        status = await run.finished()
        assert status.phase is Phase.SUCCEEDED, await run.story()
        assert {each.attempt for each in rows_of(status).values()} == {1}
        workloads = await made.workloads()
        owners = {owner["kind"] for each in workloads for owner in each["metadata"].get("ownerReferences", [])}
        measured(f"{len(workloads)} workloads were admitted, of {sorted(owners)}")
        assert "Job" in owners


async def test_a_run_with_a_reservation_queues_as_one_workload(
    api: Api, ground: Ground, operators: Operators, measured: Measured
) -> None:
    async with queue(api, ground, "selfreward-suite-reserved", "2", stop="Hold") as made:
        run = await start(api, made.put(short(made.namespace, ground), reservation={"cpu": "2"}))
        await until(lambda: _waits(run), "the run waits for quota", 60)
        await asyncio.sleep(15)
        assert await _children(api, run) == []
        (workload,) = await made.workloads()
        measured(f"held: {condition(await run.status(), ConditionType.PROGRESSING)[2]}")
        await made.open()
        await run.reaches("respond-1")
        (workload,) = await made.workloads()
        assert told(workload)["PodsReady"].startswith("True/")
        assert await made.used() == "2"
        children = await _children(api, run)
        assert [each["metadata"]["name"] for each in children if QUEUE_LABEL in each["metadata"]["labels"]] == []
        pods = [each["spec"] for each in children if each["kind"] == "Pod"]
        assert pods
        assert all(pod["nodeSelector"].items() >= ON_NODES.items() for pod in pods)
        status = await run.finished()
        assert status.phase is Phase.SUCCEEDED, await run.story()
        assert _more_than_once(status) == {}
        seconds = await until(lambda: _is_free(made), "the quota is free again", 60)
        measured(f"the quota was free {seconds:.0f} s after the end")


async def test_a_run_of_more_importance_takes_its_place(
    api: Api, ground: Ground, operators: Operators, measured: Measured
) -> None:
    async with (
        queue(api, ground, "selfreward-suite-preempted", "2") as made,
        priorities(api, low=1, high=100),
    ):
        first = made.put(short(made.namespace, ground, "first"), priority="low", reservation={"cpu": "2"})
        second = made.put(short(made.namespace, ground, "second"), priority="high", reservation={"cpu": "2"})
        low = await start(api, first)
        await low.reaches("respond-1")
        high = await start(api, second)
        seconds = await until(low.is_idle, "the first run has no pod", GPU_SECONDS)
        measured(f"preempted: no pod left {seconds:.0f} s after the other came")
        await high.reaches("import", timeout=60)
        assert await low.is_idle()
        status = await high.finished()
        assert status.phase is Phase.SUCCEEDED, await high.story()
        status = await low.finished()
        assert status.phase is Phase.SUCCEEDED, await low.story()
        assert {row.failures + row.infrastructure_failures for row in rows_of(status).values()} == {0}
        measured(f"steps that were tried again: {_more_than_once(status)}")
        await until(lambda: _is_free(made), "the quota is free again", 60)


async def test_a_workload_that_an_administrator_puts_away_takes_its_run_along(
    api: Api, ground: Ground, operators: Operators, measured: Measured
) -> None:
    async with queue(api, ground, "selfreward-suite-inactive", "2") as made:
        run = await start(api, made.put(short(made.namespace, ground), reservation={"cpu": "2"}))
        await run.reaches("respond-1")
        (workload,) = await made.workloads()
        name = workload["metadata"]["name"]
        await api.merge("Workload", made.namespace, name, {"spec": {"active": False}})
        seconds = await until(run.is_idle, "the run has no pod", GPU_SECONDS)
        measured(f"put away: no pod left after {seconds:.0f} s")
        await until(lambda: _is_unused(made), "the quota is free", 60)
        await until(lambda: _waits(run), "the run waits for quota", 60)
        measured(f"put away: {condition(await run.status(), ConditionType.PROGRESSING)[2]}")
        await api.merge("Workload", made.namespace, name, {"spec": {"active": True}})
        status = await run.finished()
        assert status.phase is Phase.SUCCEEDED, await run.story()
        assert {row.failures + row.infrastructure_failures for row in rows_of(status).values()} == {0}


async def _waits(run: Run) -> bool:
    return condition(await run.status(), ConditionType.PROGRESSING)[1] == Reason.WAITING_FOR_QUOTA


async def _children(api: Api, run: Run) -> list[Object]:
    mine = f"{RUN}={run.name}"
    return [{"kind": kind, **each} for kind in _CHILDREN for each in await api.list(kind, run.namespace, mine)]


async def _is_unused(made: Queue) -> bool:
    return await made.used() == "0"


async def _is_free(made: Queue) -> bool:
    return not await made.workloads() and await _is_unused(made)


def _more_than_once(status: RunStatus) -> dict[str, Any]:
    return {key: row.attempt for key, row in rows_of(status).items() if row.attempt != 1}
