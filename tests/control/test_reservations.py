"""Runs that queue as a whole: one Workload, held from before the first child until after the last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from control.bench import Bench, bench, condition, outputs, rows, small_manifest, status_of
from control.kueue import ON_FLAVORS, QUEUE, Kueue, reserving
from kube import Logged
from selfreward.api import ConditionType, Phase, StepState

CHILDREN = ("jobs", "pytorchjobs", "deployments")


def manifest(folder: Path, **spec: Any) -> dict[str, Any]:
    return reserving(small_manifest(folder, **spec))


def queued(made: Bench, seconds: float = 30.0) -> Kueue:
    """A queue that checks that no child is created without its quota, nor queues by itself."""
    queue = Kueue(made, seconds)
    queue.install()

    def look(write: Logged) -> None:
        if write.plural in CHILDREN and write.verb != "delete" and write.user_agent == "operator":
            found = made.cluster.get(write.kind, write.name)
            assert found is None or QUEUE not in found["metadata"]["labels"]
            assert queue.admitted, f"{write.name} without quota"

    made.cluster.after_write.append(look)
    return queue


async def running(made: Bench, key: str) -> None:
    def runs() -> bool:
        found = rows(status_of(made.cluster)).get(key)
        return found is not None and found.state is StepState.RUNNING

    await made.cluster.until(runs, 3600)


async def test_one_workload_is_held_from_the_first_child_to_the_last(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        queue = queued(made, 900.0)
        made.cluster.create(manifest(tmp_path))
        made.start()
        await made.cluster.idle(450)
        waiting = status_of(made.cluster)
        await running(made, "import")
        (job,) = made.cluster.list("Job")
        await running(made, "dpo-1")
        (training,) = made.cluster.list("PyTorchJob")
        (workload,) = made.cluster.list("Workload")
        status = await made.finished(timeout=7200)
        await made.cluster.idle(60)
        reasons = [event["reason"] for event in made.cluster.list("Event")]
        left = made.cluster.list("Workload")
    assert waiting.phase is Phase.PENDING
    assert condition(waiting, ConditionType.PROGRESSING) == "False/WaitingForQuota"
    assert job["spec"]["template"]["spec"]["nodeSelector"] == {"example.com/processors": "many"}
    pod = training["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]
    assert (pod["nodeSelector"], len(pod["tolerations"])) == (ON_FLAVORS, 1)
    told = {each["type"]: each["status"] for each in workload["status"]["conditions"]}
    assert told["PodsReady"] == "True", "a queue that waits for pods must not wait for this"
    assert status.phase is Phase.SUCCEEDED
    assert {row.attempt for row in rows(status).values()} == {1}
    assert (left, queue.history) == ([], ["waits", "admitted", "gone"])
    assert reasons.count("QuotaWaiting") == 1
    assert "QueueMayNotApply" not in reasons


async def test_an_evicted_run_makes_room_first_and_goes_on_when_it_is_admitted_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        queue = queued(made)
        made.cluster.create(manifest(tmp_path))
        made.start()
        await running(made, "dpo-1")
        queue.evict()

        def yields() -> bool:
            return queue.history[-1] == "waits"

        await made.cluster.until(yields, 120)
        assert list(made.cluster.gpu_pods()) == []
        assert rows(status_of(made.cluster))["dpo-1"].state is StepState.WAITING
        status = await made.finished(timeout=7200)
    assert queue.history[:5] == ["waits", "admitted", "evicted", "waits", "admitted"]
    assert status.phase is Phase.SUCCEEDED
    assert {key: row.attempt for key, row in rows(status).items() if row.attempt != 1} == {"dpo-1": 2}
    assert {row.infrastructure_failures for row in rows(status).values()} == {0}


async def test_a_suspended_run_leaves_its_quota_to_others(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        queue = queued(made)
        made.cluster.create(manifest(tmp_path))
        made.start()
        await running(made, "respond-1")
        made.cluster.edit("SelfRewardRun", "demo", lambda run: run["spec"].update(suspend=True))
        await made.cluster.until(lambda: not made.cluster.list("Workload"), 120)
        assert list(made.cluster.gpu_pods()) == []
        made.cluster.edit("SelfRewardRun", "demo", lambda run: run["spec"].update(suspend=False))
        status = await made.finished(timeout=7200)
    assert status.phase is Phase.SUCCEEDED
    assert queue.history[:5] == ["waits", "admitted", "gone", "waits", "admitted"]


async def test_it_goes_with_the_run(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        queued(made)
        made.cluster.create(manifest(tmp_path))
        made.start()
        await running(made, "respond-1")
        made.cluster.delete("SelfRewardRun", "demo")
        await made.cluster.idle(120)
        assert made.cluster.list("Workload") == []
        made.check()


@pytest.mark.parametrize("first", range(4))
async def test_an_operator_killed_after_any_write_ends_there_too(tmp_path: Path, first: int) -> None:
    writes = 0

    def fatal(_: Logged) -> bool:
        nonlocal writes
        writes += 1
        return writes % 4 == first

    async with bench(tmp_path) as made:
        queue = queued(made, 5.0)
        made.cluster.create(manifest(tmp_path))
        made.kill_after(fatal)
        made.start()
        await running(made, "dpo-1")
        queue.evict()
        status = await made.finished(timeout=7200)
        await made.cluster.idle(90)
        left = made.cluster.list("Workload")
    assert status.phase is Phase.SUCCEEDED
    assert {row.failures + row.infrastructure_failures for row in rows(status).values()} == {0}
    assert set(outputs(status)) >= {"m0", "m2"}
    assert left == []
    assert made.kills >= 8


@pytest.mark.parametrize(
    ("absent", "words"),
    [
        pytest.param(("Workload",), "spec.reservation: the cluster does not serve kueue.x-k8s.io/v1beta2", id="Kueue"),
        pytest.param((), "spec.reservation: no WorkloadPriorityClass high", id="a class"),
    ],
)
async def test_what_is_missing_stalls_the_run_until_it_is_there(
    tmp_path: Path, absent: tuple[str, ...], words: str
) -> None:
    async with bench(tmp_path, absent=absent) as made:
        made.cluster.create(manifest(tmp_path))
        made.start()
        await made.cluster.idle(120)
        status = status_of(made.cluster)
        for kind in absent:
            made.cluster.install(kind)
        queued(made)
        ended = await made.finished(timeout=7200)
    stalled = next(each for each in status.conditions if each.type is ConditionType.STALLED)
    assert (stalled.status, stalled.reason) == ("True", "Refused")
    assert words in stalled.message
    assert ended.phase is Phase.SUCCEEDED
