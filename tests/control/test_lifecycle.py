"""What a user asks of a run besides walking it: hold it, go on, more of it, again, hands off, gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from control.bench import Bench, bench, condition, outputs, rows, small_manifest, status_of
from control.invariants import GPU_SECONDS
from kube import Behaviour, Fault
from kube.storage import Object
from selfreward.api import APPROVED, PAUSED, RETRY, ConditionType, Phase, StepState
from selfreward.plan.types import EventReason

WORKLOADS = ("Job", "PyTorchJob", "Deployment")


def edit(made: Bench, **spec: Any) -> None:
    made.cluster.edit("SelfRewardRun", "demo", lambda run: run["spec"].update(spec))


def annotate(made: Bench, name: str, value: str | None) -> None:
    def change(run: Object) -> None:
        annotations = run["metadata"].setdefault("annotations", {})
        annotations.pop(name, None)
        if value is not None:
            annotations[name] = value

    made.cluster.edit("SelfRewardRun", "demo", change)


def annotations(made: Bench) -> dict[str, str]:
    run = made.cluster.get("SelfRewardRun", "demo") or {"metadata": {}}
    return run["metadata"].get("annotations") or {}


def state(made: Bench, key: str) -> StepState:
    found = rows(status_of(made.cluster)).get(key)
    return StepState.WAITING if found is None else found.state


async def running(made: Bench, key: str) -> None:
    await made.cluster.until(lambda: state(made, key) is StepState.RUNNING, 600)


async def in_phase(made: Bench, phase: Phase) -> None:
    await made.cluster.until(lambda: status_of(made.cluster).phase is phase, 600)


def live(made: Bench) -> list[str]:
    """Workloads that are there and have not ended."""
    found = [item for kind in WORKLOADS for item in made.cluster.list(kind)]
    ended = ("Complete", "Succeeded", "Failed")

    def is_over(item: Object) -> bool:
        conditions = item.get("status", {}).get("conditions") or []
        return any(each["type"] in ended and each["status"] == "True" for each in conditions)

    return [item["metadata"]["name"] for item in found if not is_over(item)]


def events(made: Bench) -> list[str]:
    return [event["reason"] for event in made.cluster.list("Event")]


@pytest.mark.parametrize(("policy", "attempts"), [("Immediate", 2), ("StepBoundary", 1)])
async def test_held_and_let_go_again(tmp_path: Path, policy: str, attempts: int) -> None:
    async with bench(tmp_path) as made:
        made.cluster.playbook.on(key="dpo-1", attempt=1, does=Behaviour(runs=100))
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        await running(made, "dpo-1")
        edit(made, suspend=True, suspendPolicy=policy)
        await made.cluster.idle(50)
        at_once = status_of(made.cluster)
        await made.cluster.idle(50 + GPU_SECONDS)
        held, holders, children = status_of(made.cluster), made.cluster.gpu_pods(), live(made)
        edit(made, suspend=False)
        status = await made.finished()
        told = events(made)
    assert (at_once.suspended_at is not None) is (policy == "Immediate")
    if policy == "Immediate":
        assert held.phase is Phase.SUSPENDED
        assert condition(held, ConditionType.SUSPENDED) == "True/SuspendedByUser"
        assert {EventReason.RUN_SUSPENDED, EventReason.RUN_RESUMED} <= set(told)
    else:
        assert held.phase is Phase.SUCCEEDED, "its last step was allowed to end"
    assert (holders, children) == ([], [])
    assert status.phase is Phase.SUCCEEDED
    assert {key: row.attempt for key, row in rows(status).items() if row.attempt != 1} == (
        {} if attempts == 1 else {"dpo-1": attempts}
    )
    assert {row.failures for row in rows(status).values()} == {0}


async def test_a_delete_that_is_answered_with_a_conflict_is_tried_again(tmp_path: Path) -> None:
    """A busy object is still there: what is forgotten then is never seen again, and holds its GPU to its own end."""
    async with bench(tmp_path) as made:
        made.cluster.playbook.on(key="dpo-1", attempt=1, does=Behaviour(runs=900))
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        await running(made, "dpo-1")
        made.cluster.faults.add(Fault(answer=409, on="delete pytorchjobs"))
        edit(made, suspend=True, suspendPolicy="Immediate")
        await made.cluster.idle(50 + GPU_SECONDS)
        struck, holders = len(made.cluster.faults.injected), made.cluster.gpu_pods()
        made.check()
    assert struck == 1
    assert holders == []


async def test_at_the_step_boundary_nothing_new_starts(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.playbook.on(key="import", attempt=1, does=Behaviour(runs=60))
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        await running(made, "import")
        edit(made, suspend=True, suspendPolicy="StepBoundary")
        await in_phase(made, Phase.SUSPENDED)
        held = status_of(made.cluster)
        await made.cluster.idle(200)
        children = live(made)
    assert {key for key, row in rows(held).items() if row.attempt} == {"import"}
    assert rows(held)["import"].state is StepState.SUCCEEDED
    assert children == []


async def test_iteration_by_iteration_on_approval(tmp_path: Path) -> None:
    """As a repository would drive it: approve, look, raise `iterations`, approve."""
    async with bench(tmp_path) as made:
        made.cluster.create(small_manifest(tmp_path, schedule={"approval": True}))
        made.start()
        await in_phase(made, Phase.WAITING)
        await made.cluster.idle(GPU_SECONDS + 30)
        waiting, children = status_of(made.cluster), live(made)
        annotate(made, APPROVED, "1")
        first = await made.finished()
        edit(made, iterations=2)
        await in_phase(made, Phase.WAITING)
        again = status_of(made.cluster)
        annotate(made, APPROVED, "2")
        second = await made.finished()
        kept = annotations(made)
    assert condition(waiting, ConditionType.READY) == "False/WaitingForApproval"
    assert children == []
    assert (first.phase, first.model) == (Phase.SUCCEEDED, "m2")
    assert again.finished_at is None
    assert second.phase is Phase.SUCCEEDED
    assert outputs(first).items() <= outputs(second).items(), "what was done is not done again"
    assert "m3" in outputs(second)
    assert {row.attempt for row in rows(second).values()} == {1}
    assert kept == {APPROVED: "2"}, "the operator does not touch what comes from a repository"


async def test_a_failed_run_is_tried_again_from_its_failed_step(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.playbook.on(key="dpo-1", attempt=1, does=Behaviour(exit_code=64, result_reason="NoPairs"))
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        failed = await made.finished()
        await made.cluster.idle(300)
        still = status_of(made.cluster)
        annotate(made, RETRY, "please")
        await made.cluster.until(lambda: status_of(made.cluster).phase is Phase.SUCCEEDED, 600)
        status = status_of(made.cluster)
        left = annotations(made)
    assert condition(failed, ConditionType.FAILED) == "True/ConfigurationError"
    assert condition(failed, ConditionType.STALLED) == "True/ConfigurationError"
    assert still == failed, "nothing happens until somebody asks"
    assert {key: row.attempt for key, row in rows(status).items() if row.attempt != 1} == {"dpo-1": 2}
    assert rows(status)["dpo-1"].failures == 0
    assert left == {}


async def test_a_paused_run_is_left_alone(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.playbook.on(key="import", does=Behaviour(runs=60))
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        await running(made, "import")
        annotate(made, PAUSED, "true")
        await made.cluster.idle(10)
        before, written = status_of(made.cluster), len(made.cluster.requests.writes())
        await made.cluster.idle(300)
        after, and_then = status_of(made.cluster), len(made.cluster.requests.writes())
        annotate(made, PAUSED, None)
        status = await made.finished()
    assert before == after
    assert written == and_then
    assert status.phase is Phase.SUCCEEDED
    assert {row.attempt for row in rows(status).values()} == {1}


async def test_after_its_ttl_nothing_is_left_but_what_the_policy_keeps(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.create(
            small_manifest(tmp_path, ttlSecondsAfterFinished=100, deletionPolicy={"children": "Delete"})
        )
        made.start()
        await made.finished()
        await made.cluster.idle(80)
        ended = [name for name in remains(made) if name.startswith(("Job", "PyTorchJob", "Pod"))]
        there = made.cluster.get("SelfRewardRun", "demo")
        await made.cluster.idle(60)
        gone = made.cluster.get("SelfRewardRun", "demo")
        left = remains(made)
    assert ended == []
    assert there is not None
    assert gone is None
    assert left == []
    assert (tmp_path / "store/namespace=default/demo").exists(), "artifacts are retained unless asked otherwise"


async def test_deleted_while_it_runs_with_its_artifacts(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.playbook.on(key="dpo-1", does=Behaviour(runs=1000, stops_after=20))
        made.cluster.create(small_manifest(tmp_path, deletionPolicy={"artifacts": "Delete"}))
        made.start()
        await running(made, "dpo-1")
        made.cluster.delete("SelfRewardRun", "demo")
        await made.cluster.until(lambda: made.cluster.get("SelfRewardRun", "demo") is None, 300)
        await made.cluster.idle(30)
        left = remains(made)
    assert left == []
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def remains(made: Bench) -> list[str]:
    """What a run may leave behind in the cluster, by kind."""
    kinds = (*WORKLOADS, "Pod", "Service", "Secret", "NetworkPolicy", "ReplicaSet")
    return [f"{kind}/{item['metadata']['name']}" for kind in kinds for item in made.cluster.list(kind)]
