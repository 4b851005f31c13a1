"""What ends a pod but the program in it: an eviction, a preemption, a lost node, a lack of memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from control.bench import bench, end_of, outputs, rows, small_manifest
from kube import Behaviour, Ending
from selfreward.api import Phase, RunStatus
from selfreward_steps.contract import FailureClass, StepName, StepResult

DISRUPTIONS = (Ending.EVICTED, Ending.PREEMPTED, Ending.NODE_LOST)
STEPS = ("import", "respond-1", "judge-1", "dpo-1")
"""A Job, two Indexed Jobs whose pods need a server, a PyTorchJob."""


async def disrupted(folder: Path, ending: Ending, **pods: object) -> RunStatus:
    """The run after its end, of which the first pod with these attributes came to this one; its artifacts are those
    of the undisturbed run."""
    async with bench(folder) as made:
        made.cluster.playbook.on(Behaviour(runs=5, ending=ending), times=1, **pods)
        made.cluster.create(small_manifest(folder))
        made.start()
        status = await made.finished()
        await made.cluster.idle(90)
        made.check()
    assert status.phase is Phase.SUCCEEDED
    assert outputs(status) == (await end_of("small", folder, small_manifest)).commits
    return status


@pytest.mark.parametrize("ending", DISRUPTIONS)
@pytest.mark.parametrize("key", STEPS)
async def test_a_disruption_counts_against_nothing(tmp_path: Path, key: str, ending: Ending) -> None:
    status = await disrupted(tmp_path, ending, key=key)
    assert {row.failures for row in rows(status).values()} == {0}
    assert {name for name, row in rows(status).items() if row.attempt != 1 + row.infrastructure_failures} == set()


@pytest.mark.parametrize("key", STEPS)
async def test_a_lack_of_memory_is_a_failure_of_the_step(tmp_path: Path, key: str) -> None:
    status = await disrupted(tmp_path, Ending.OOM_KILLED, key=key)
    assert {name: (row.attempt, row.failures) for name, row in rows(status).items() if row.failures} == {key: (2, 1)}


@pytest.mark.parametrize("ending", [*DISRUPTIONS, Ending.OOM_KILLED])
async def test_a_server_that_is_replaced_costs_no_step_an_attempt(tmp_path: Path, ending: Ending) -> None:
    status = await disrupted(tmp_path, ending, kind="Deployment")
    assert {row.attempt for row in rows(status).values()} == {1}


STOPPED = StepResult(
    step=StepName.DPO,
    succeeded=False,
    reason="Stopped",
    message="stopped by signal 15",
    failure_class=FailureClass.INFRASTRUCTURE,
)
LAUNCHER = (
    "Root Cause (first observed failure):",
    "[0]:",
    "  rank      : 1 (local_rank: 1)",
    "  exitcode  : -9 (pid: 5613)",
    "  error_file: <N/A>",
    "  traceback : Signal 9 (SIGKILL) received by PID 5613",
    "=" * 60,
)


@pytest.mark.parametrize("nodes", [1, 2])
async def test_a_killed_process_of_a_training_counts_against_it_though_the_first_was_only_stopped(
    tmp_path: Path, nodes: int
) -> None:
    told = json.dumps(STOPPED.model_dump(mode="json", by_alias=True, exclude_none=True))
    torn = Behaviour(runs=40, exit_code=1, message=told, lines=tuple((39.5, line) for line in LAUNCHER))
    async with bench(tmp_path) as made:
        made.cluster.playbook.on(torn, key="dpo-1", attempt=1)
        two = {"training": {"resources": {"limits": {"nvidia.com/gpu": "2"}}}}
        training = {"processesPerNode": 2, "nodes": nodes}
        made.cluster.create(small_manifest(tmp_path, training=training, workloads=two))
        made.start()
        row = rows(await made.finished())["dpo-1"]
        made.check()
    assert (row.attempt, row.failures, row.infrastructure_failures) == (2, 1, 0)
