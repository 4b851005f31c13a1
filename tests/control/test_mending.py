"""What somebody must mend: it is said within a minute, and the run goes on by itself once the spec is put right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from control.bench import Bench, bench, condition, rows, small_manifest, status_of
from kube import Behaviour, Blocked
from kube.behaviour import StepPod
from kube.storage import Object
from selfreward.api import ConditionType, Phase
from selfreward.render.metadata import KEY, MODEL

WRONG = "registry.example/wrong:1"
SAID_SECONDS = 60.0


def pulls(pod: StepPod) -> Behaviour:
    """A pod whose image is wrong never starts; any other does."""
    is_wrong = any(each["image"] == WRONG for each in pod.pod["spec"]["containers"])
    return Behaviour(blocked=Blocked.IMAGE_PULL) if is_wrong else Behaviour()


async def stalled(made: Bench) -> str:
    """Let time pass until the run says that it is stalled; returns the message."""
    await made.cluster.until(lambda: _is_stalled(made), SAID_SECONDS)
    conditions = status_of(made.cluster).conditions
    return next(each.message for each in conditions if each.type is ConditionType.STALLED)


def _is_stalled(made: Bench) -> bool:
    status = status_of(made.cluster)
    return bool(status.conditions) and condition(status, ConditionType.STALLED).startswith("True")


def workload(**content: Any) -> dict[str, Any]:
    """Resources that keep a workload from asking for a GPU, and what else it is given."""
    return {"resources": {"requests": {"cpu": "1"}}} | content


@pytest.mark.parametrize(
    ("kind", "child"),
    [
        pytest.param("processing", "import", id="a Job"),
        pytest.param("training", "dpo-1", id="a training job"),
        pytest.param("serving", "", id="a server"),
    ],
)
async def test_a_wrong_image_that_is_put_right(tmp_path: Path, kind: str, child: str) -> None:
    async with bench(tmp_path) as made:
        made.cluster.playbook.on(pulls)
        manifest = small_manifest(tmp_path, workloads={kind: workload(image=WRONG)})
        made.cluster.create(manifest)
        made.start()
        await made.cluster.until(lambda: any(_waits(pod) for pod in made.cluster.list("Pod")), 600)
        message = await stalled(made)
        made.cluster.edit("SelfRewardRun", "demo", lambda run: run["spec"]["workloads"][kind].pop("image"))
        status = await made.finished()
    assert "spec.workloads" in message
    assert status.phase is Phase.SUCCEEDED
    assert {key: row.failures for key, row in rows(status).items() if row.failures} == {}
    assert {key for key, row in rows(status).items() if row.attempt != 1} == ({child} if child else set())


def _waits(pod: dict[str, Any]) -> bool:
    return any(each["image"] == WRONG for each in pod["spec"]["containers"])


QUOTA = "exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0"


@pytest.mark.parametrize(
    ("kind", "place", "field"),
    [
        pytest.param("processing", "import", "spec.workloads.processing: import: FailedCreate", id="a Job"),
        pytest.param("training", "dpo-1", "spec.workloads.training: dpo-1: FailedCreatePod", id="a training job"),
        pytest.param("serving", "m0", "spec.workloads.serving: m0: FailedCreate", id="a server"),
    ],
)
async def test_pods_that_a_quota_refuses(tmp_path: Path, kind: str, place: str, field: str) -> None:
    def over_quota(pod: Object) -> str:
        labels = pod["metadata"]["labels"]
        return QUOTA if place in (labels.get(KEY), labels.get(MODEL)) else ""

    async with bench(tmp_path) as made:
        made.cluster.refuse_pods(over_quota)
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        await made.cluster.until(lambda: any(_refused(event) for event in made.cluster.list("Event")), 600)
        message = await stalled(made)
        ready = condition(status_of(made.cluster), ConditionType.READY)
        writes: list[str] = []
        made.cluster.after_write.append(lambda write: writes.append(write.plural))
        await made.cluster.idle(100)
        written = writes.count("selfrewardruns/status")
        made.cluster.refuse_pods(lambda pod: "")
        await made.cluster.until(lambda: not _is_stalled(made), SAID_SECONDS)
        status = await made.finished()
    assert message == f"{field}: its pod is forbidden: {QUOTA}"
    assert ready.startswith("False")
    assert written <= 2, "each try has a pod of another name, which is no news"
    assert status.phase is Phase.SUCCEEDED
    assert {row.attempt for row in rows(status).values()} == {1}


def _refused(event: Object) -> bool:
    return event["reason"] in ("FailedCreate", "FailedCreatePod")


async def test_a_volume_that_is_not_there(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.playbook.on(key="import", does=Behaviour(blocked=Blocked.CREATING, blocked_for=150))
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        await made.cluster.until(lambda: bool(made.cluster.list("Pod")), 60)
        pod, now = made.cluster.list("Pod")[0], made.cluster.clock.stamp()
        about = {"kind": "Pod", **{name: pod["metadata"][name] for name in ("name", "namespace", "uid")}}
        text = 'MountVolume.SetUp failed for volume "data" : configmap "settings" not found'
        warning = {"reason": "FailedMount", "message": text, "type": "Warning", "firstTimestamp": now}
        made.cluster.create(
            {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "mount"}, "involvedObject": about, **warning}
        )
        message = await stalled(made)
        status = await made.finished()
    assert message == f"spec.workloads.processing: import: FailedMount: {text}"
    assert status.phase is Phase.SUCCEEDED
