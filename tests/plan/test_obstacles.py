"""Obstacles: told once they have lasted, gone when they are gone, and no failure meanwhile."""

from __future__ import annotations

import pytest
from plan.scenes import NOW, Scene, ago, created, row, scene
from plan.test_conditions import conditions
from selfreward.api import Condition, ConditionStatus, ConditionType, Reason, RunStatus, ServingState, StepState
from selfreward.plan import ChildPhase, Decision, Obstacle, stalled_status

NO_GPU = Obstacle(Reason.UNSCHEDULABLE, "spec.workloads.training: sft: no node has a GPU", ago(40))
QUOTA = Obstacle(Reason.REFUSED, "Forbidden: exceeded quota", ago(40))


def pending(*obstacles: Obstacle) -> Scene:
    """sft's pod waits, and the cluster says why."""
    moment = scene("sft").active("sft").child("sft", ChildPhase.PENDING)
    moment.obstacles = obstacles
    return moment


def starting(*obstacles: Obstacle) -> Scene:
    """sft's child is about to be created."""
    moment = scene("sft").active("sft", StepState.STARTING)
    moment.obstacles = obstacles
    return moment


def stalled(decision: Decision) -> str:
    found = conditions(decision)["Stalled"]
    return f"{found.status}/{found.reason}"


def told(obstacle: Obstacle) -> Condition:
    """What an earlier decision wrote of it."""
    return Condition(
        type=ConditionType.STALLED,
        status=ConditionStatus.TRUE,
        reason=obstacle.reason,
        message=obstacle.message,
        last_transition_time=ago(10),
    )


def test_a_run_with_an_obstacle_is_stalled_and_says_why() -> None:
    decision = pending(NO_GPU).decide()
    found = conditions(decision)
    assert {kind for kind, each in found.items() if each.status is ConditionStatus.TRUE} == {"Stalled"}
    for kind in ("Ready", "Reconciling", "Stalled", "Progressing"):
        assert (found[kind].reason, found[kind].message) == (NO_GPU.reason, NO_GPU.message)
    assert (found["Failed"].reason, found["Failed"].message) == (Reason.RUNNING, "")
    assert row(decision, "sft").failures == 0


def test_it_goes_when_it_is_mended() -> None:
    moment = pending(NO_GPU)
    moment.accept(moment.decide()).obstacles = ()
    decision = moment.later(5).decide()
    assert stalled(decision) == f"False/{Reason.RUNNING}"
    assert conditions(decision)["Ready"].status is ConditionStatus.TRUE


def test_once_may_be_chance_and_time_alone_tells() -> None:
    moment = pending(Obstacle(NO_GPU.reason, NO_GPU.message, ago(20)))
    decision = moment.decide()
    assert stalled(decision).startswith("False")
    assert decision.requeue_after == 10
    assert stalled(moment.later(10).decide()) == f"True/{NO_GPU.reason}"


def test_the_first_that_has_lasted_is_told() -> None:
    young = Obstacle(QUOTA.reason, QUOTA.message, ago(5))
    assert stalled(pending(young, NO_GPU).decide()) == f"True/{NO_GPU.reason}"
    assert stalled(pending(QUOTA, NO_GPU).decide()) == f"True/{QUOTA.reason}"


@pytest.mark.parametrize("over", [{"suspended_at": ago(5)}, {"finished_at": ago(5)}], ids=["suspended", "finished"])
def test_a_run_that_waits_for_nothing_has_no_obstacle(over: dict[str, object]) -> None:
    moment = scene("sft") if "suspended_at" in over else scene("nothing")
    moment.status(**over).spec(suspend="suspended_at" in over)
    moment.obstacles = (NO_GPU,)
    assert stalled(moment.decide()).startswith("False")


@pytest.mark.parametrize(
    ("state", "failures", "is_told"),
    [
        (ServingState.STARTING, 1, False),
        (ServingState.STARTING, 2, True),
        (ServingState.STOPPING, 3, True),
        (ServingState.READY, 3, False),
    ],
)
def test_a_server_that_does_not_come_up(state: ServingState, failures: int, is_told: bool) -> None:
    """Decided here, so on one machine too."""
    phase = ChildPhase.READY if state is ServingState.READY else ChildPhase.RUNNING
    retry_at = ago(-5) if state is ServingState.STOPPING else None
    moment = scene("prompts-1").serving("m1", state, failures=failures, retry_at=retry_at, message="no such model")
    decision = moment.server("m1", phase, waiting="no such model").decide()
    assert (stalled(decision) == f"True/{Reason.SERVING_FAILED}") is is_told
    if is_told:
        expected = f"spec.serving: the server of m1 did not come up {failures} times: "
        assert conditions(decision)["Stalled"].message.startswith(expected)


@pytest.mark.parametrize("reason", [Reason.REFUSED, Reason.NAME_TAKEN, Reason.TRAINING_OPERATOR_MISSING])
def test_a_new_leader_does_not_say_that_all_is_well_before_it_has_tried(reason: Reason) -> None:
    """What was refused is remembered in memory; the status is all that another leader has."""
    refused = Obstacle(reason, "refused", ago(40))
    moment = starting().status(conditions=[told(refused)])
    decision = moment.decide()
    assert created(decision) == ["sft"]
    assert stalled(decision) == f"True/{reason}"
    assert conditions(decision)["Stalled"].last_transition_time == ago(10)
    moment.accept(decision).child("sft", ChildPhase.PENDING)
    assert stalled(moment.decide()) == f"False/{Reason.RUNNING}", "it has been done"


def test_what_is_seen_anew_at_each_look_is_not_remembered() -> None:
    moment = starting().status(conditions=[told(NO_GPU)])
    assert stalled(moment.decide()).startswith("False")


def test_a_run_of_which_nothing_can_be_decided_is_stalled_all_the_same() -> None:
    obstacle = Obstacle(Reason.INVALID_SPEC, "spec.schedule.cron: no such day", NOW)
    status = stalled_status(RunStatus(), obstacle, 3, NOW)
    assert [each.type for each in status.conditions] == ["Ready", "Reconciling", "Stalled", "Progressing"]
    assert {each.message for each in status.conditions} == {obstacle.message}
    assert status.observed_generation == 3
    assert stalled_status(status, obstacle, 3, NOW) is status, "nothing is written twice"


def test_it_says_the_same_as_a_decision_would() -> None:
    """Both are written in turn while a store refuses: the status must not go back and forth."""
    status = pending(NO_GPU).decide().status
    assert stalled_status(status, NO_GPU, status.observed_generation, NOW) is status
