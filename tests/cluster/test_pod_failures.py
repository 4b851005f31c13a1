"""From how a pod ended on Kubernetes to who must act."""

from __future__ import annotations

from typing import Any

import pytest
from selfreward.cluster.kubernetes.failures import pod_failure, workload_failures
from selfreward.cluster.ranks import FallenRank
from selfreward_steps.contract import FailureClass, StepName, StepResult

PERMANENT, APPLICATION, INFRASTRUCTURE = FailureClass.PERMANENT, FailureClass.APPLICATION, FailureClass.INFRASTRUCTURE


def a_pod(
    code: int = 1,
    *,
    kind: FailureClass | None = None,
    says: str = "Own",
    shard: int = 0,
    told: str = "",
    **status: Any,
) -> Any:
    """A pod whose only container ended with `code`; with `kind` its step reported a failure of that class."""
    if kind is not None:
        result = StepResult(step=StepName.DPO, succeeded=False, reason=says, message="own words", failure_class=kind)
        told = result.model_dump_json(by_alias=True)
    ended = {"exitCode": code, "message": told}
    return {
        "metadata": {"name": "p", "annotations": {"batch.kubernetes.io/job-completion-index": str(shard)}},
        "spec": {"containers": [{"name": "step"}]},
        "status": {
            "phase": "Failed",
            "containerStatuses": [{"name": "step", "state": {"terminated": ended}}],
            **status,
        },
    }


DISRUPTED = {"conditions": [{"type": "DisruptionTarget", "status": "True", "message": "the node drains"}]}


@pytest.mark.parametrize(
    ("pod", "failure_class", "reason"),
    [
        pytest.param(a_pod(), APPLICATION, "ExitCode", id="an exit code"),
        pytest.param(a_pod(64), PERMANENT, "ConfigurationError", id="64"),
        pytest.param(a_pod(143), INFRASTRUCTURE, "Stopped", id="SIGTERM"),
        pytest.param(a_pod(kind=APPLICATION), APPLICATION, "Own", id="the step's own word"),
        pytest.param(a_pod(kind=PERMANENT), PERMANENT, "Own", id="torchrun turned 64 into 1"),
        pytest.param(a_pod(kind=INFRASTRUCTURE), INFRASTRUCTURE, "Own", id="the step knows better than its exit code"),
        pytest.param(a_pod(137, reason="Evicted"), INFRASTRUCTURE, "Evicted", id="evicted"),
        pytest.param(a_pod(kind=APPLICATION, **DISRUPTED), INFRASTRUCTURE, "Disrupted", id="complains in vain"),
        pytest.param(a_pod(kind=PERMANENT, **DISRUPTED), PERMANENT, "Own", id="but not of the user's errors"),
    ],
)
def test_classes(pod: Any, failure_class: FailureClass, reason: str) -> None:
    failure = pod_failure(pod)
    assert (failure.failure_class, failure.reason) == (failure_class, reason)
    assert failure.reported is (reason == "Own")


def test_each_pod_that_failed_has_its_failure() -> None:
    pods = [a_pod(told="no memory", shard=1), {**a_pod(0), "status": {"phase": "Succeeded"}}, a_pod(kind=APPLICATION)]
    first, second = workload_failures(pods, "Job has failed")
    assert first.message == "shard 1: container step: exit code 1: no memory"
    assert second.message == "own words", "a step names what was wrong itself"


def test_a_single_pod_needs_no_number() -> None:
    (failure,) = workload_failures([a_pod(shard=1)], "Job has failed")
    assert failure.message == "container step: exit code 1"


def test_pods_that_nobody_sees_any_more_were_taken_away() -> None:
    (failure,) = workload_failures([], "BackoffLimitExceeded")
    assert (failure.failure_class, failure.message) == (INFRASTRUCTURE, "its pods are gone: BackoffLimitExceeded")


LAUNCHER = """
Root Cause (first observed failure):
[0]:
  rank      : 3 (local_rank: 1)
  exitcode  : -9 (pid: 5613)
  error_file: <N/A>
  traceback : Signal 9 (SIGKILL) received by PID 5613
============================================================
"""
KILLED = "was killed (SIGKILL), most likely because memory ran out"
STOPPED = a_pod(kind=INFRASTRUCTURE, says="Stopped")


@pytest.mark.parametrize(
    ("pod", "fallen", "expected"),
    [
        pytest.param(STOPPED, FallenRank(1, 9), (APPLICATION, "Killed"), id="of those that rank 0 is one of"),
        pytest.param(STOPPED, FallenRank(1, 15), (INFRASTRUCTURE, "Stopped"), id="stopped from outside"),
        pytest.param(STOPPED, FallenRank(1, 999), (INFRASTRUCTURE, "Stopped"), id="no signal that there is"),
        pytest.param(STOPPED, None, (INFRASTRUCTURE, "Stopped"), id="nobody says more"),
        pytest.param(a_pod(kind=APPLICATION), FallenRank(1, 9), (APPLICATION, "Own"), id="after a failure of its own"),
        pytest.param(a_pod(kind=INFRASTRUCTURE), FallenRank(1, 9), (INFRASTRUCTURE, "Own"), id="its store is away"),
        pytest.param(a_pod(told=LAUNCHER), None, (APPLICATION, "Killed"), id="on a node without rank 0"),
        pytest.param(a_pod(told="rank : " + "9" * 5000), None, (APPLICATION, "ExitCode"), id="no launcher's words"),
        pytest.param(
            {**STOPPED, "status": STOPPED["status"] | DISRUPTED},
            FallenRank(1, 9),
            (INFRASTRUCTURE, "Disrupted"),
            id="of a pod that was taken down",
        ),
    ],
)
def test_a_killed_rank_is_told_in_place_of_those_that_were_stopped_for_it(
    pod: Any, fallen: FallenRank | None, expected: tuple[FailureClass, str]
) -> None:
    (failure,) = workload_failures([pod], "", lambda _: fallen)
    assert (failure.failure_class, failure.reason) == expected
    if failure.reason == "Killed":
        assert failure.message == f"process {1 if fallen else 3} of the training {KILLED}"
