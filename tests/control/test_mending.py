"""What somebody must mend: it is said within a minute, and the run goes on by itself once the spec is put right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from control.bench import Bench, bench, condition, rows, small_manifest, status_of
from kube import Behaviour, Blocked
from kube.behaviour import StepPod
from selfreward.api import ConditionType, Phase

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
