"""Suspension: at once or at the step boundary, and going on."""

from __future__ import annotations

from typing import Any

import pytest
from plan.faults import Fate, Scripted
from plan.runs import a_walk
from plan.scenes import Scene, ago, created, deleted, digest, failure, progress, row, scene
from selfreward.api import ServingState, StepState, SuspendPolicy
from selfreward.plan import ChildPhase
from selfreward.plan.types import EventReason
from selfreward_steps.contract import FailureClass

BOUNDARY = {"suspend": True, "suspend_policy": SuspendPolicy.STEP_BOUNDARY}


def generating() -> Scene:
    """prompts-1 runs on m1's server."""
    moment = scene("prompts-1", evaluation={"enabled": False}).served("m1")
    moment.active("prompts-1", running_at=ago(30), infrastructure_since=ago(40))
    return moment.child("prompts-1", ChildPhase.RUNNING, progress=progress(3, ago(1)))


def test_immediate() -> None:
    moment = generating().spec(suspend=True)
    decision = moment.decide()
    assert deleted(decision) == ["run-serve-m1-a1", "run-prompts-1-a1"]
    after = row(decision, "prompts-1")
    assert (after.state, after.attempt, after.failures, after.infrastructure_failures) == (StepState.WAITING, 1, 0, 0)
    assert (after.child, after.child_uid, after.progress, after.retry_at) == (None, None, None, None)
    assert after.infrastructure_since is None, "time suspended is no fault"
    assert decision.status.suspended_at == ago(0)
    assert decision.status.phase == "Suspended"
    assert [event.reason for event in decision.events] == [EventReason.RUN_SUSPENDED]
    moment.accept(decision)
    moment.children.clear()
    assert moment.decide().status.servings == []
    assert moment.decide().requeue_after is None


@pytest.mark.parametrize(
    "see",
    [
        pytest.param(lambda s: s, id="the child runs"),
        pytest.param(lambda s: s.children.clear(), id="nothing is there: the machine was switched off"),
        pytest.param(lambda s: s.put("prompts-1", state=StepState.STARTING, child_uid=None), id="never seen"),
        pytest.param(
            lambda s: s.child("prompts-1", ChildPhase.FAILED, failure=failure(FailureClass.PERMANENT)), id="failed"
        ),
    ],
)
def test_what_suspension_finds_is_not_counted(see: Any) -> None:
    """So a walker that comes back to a machine without children may suspend and resume, and nothing is lost."""
    moment = generating().spec(suspend=True)
    see(moment)
    decision = moment.decide()
    after = row(decision, "prompts-1")
    assert (after.state, after.failures, after.infrastructure_failures) == (StepState.WAITING, 0, 0)
    assert after.retry_at is None
    assert not [entry for entry in decision.status.servings if entry.failures]
    moment.accept(decision).spec(suspend=False)
    moment.children.clear()
    moment.accept(moment.decide())
    again = moment.decide()
    assert created(again) == ["serve-m1"]
    assert again.status.suspended_at is None


def test_what_is_committed_counts_even_then() -> None:
    moment = generating().spec(suspend=True).commit("iteration-1/prompts")
    assert row(moment.decide(), "prompts-1").outputs == {"iteration-1/prompts": digest("iteration-1/prompts")}


def test_at_the_step_boundary() -> None:
    moment = generating().spec(**BOUNDARY)
    decision = moment.decide()
    assert row(decision, "prompts-1").state is StepState.RUNNING
    assert deleted(decision) == []
    assert decision.status.suspended_at is None
    moment.accept(decision).commit("iteration-1/prompts").later(10)
    ended = moment.decide()
    assert created(ended) == []
    assert ended.status.suspended_at == moment.now
    assert "run-serve-m1-a1" in deleted(ended)


def test_at_the_step_boundary_a_running_step_gets_its_server_back() -> None:
    moment = generating().spec(**BOUNDARY)
    moment.status(servings=[]).children.pop(0)
    assert created(moment.decide()) == ["serve-m1"]


def test_at_the_step_boundary_a_step_that_fails_waits() -> None:
    moment = generating().spec(**BOUNDARY)
    moment.children.pop()
    moment.child("prompts-1", ChildPhase.FAILED, failure=failure(FailureClass.APPLICATION))
    decision = moment.decide()
    assert row(decision, "prompts-1").state is StepState.WAITING
    assert decision.status.suspended_at is not None


def test_a_run_may_be_suspended_from_the_start() -> None:
    moment = scene().spec(suspend=True)
    decision = moment.decide()
    assert created(decision) == []
    assert (decision.status.phase, decision.status.started_at) == ("Suspended", None)


def test_resuming() -> None:
    moment = scene("sft").status(suspended_at=ago(70), suspended_seconds=30.0)
    decision = moment.decide()
    assert (decision.status.suspended_at, decision.status.suspended_seconds) == (None, 100)
    assert decision.events[0].reason is EventReason.RUN_RESUMED
    assert created(decision) == ["sft"]


def test_a_run_whose_last_step_ends_is_complete_not_suspended() -> None:
    walk = a_walk(Scripted({"evaluate-m2": [Fate.LINGER]}))
    walk.until("evaluate-m2=Running")
    walk.edit(**BOUNDARY)
    walk.finish()
    assert walk.status.phase == "Succeeded"
    assert EventReason.RUN_SUSPENDED not in [event.reason for event in walk.events]


def test_a_finished_run_cannot_be_suspended() -> None:
    moment = scene("nothing")
    moment.accept(moment.decide()).spec(suspend=True)
    assert moment.decide().status.phase == "Succeeded"


def test_a_failed_run_cannot_be_suspended() -> None:
    moment = scene("sft").active("sft").child("sft", ChildPhase.FAILED, failure=failure(FailureClass.APPLICATION))
    moment.put("sft", failures=9)
    moment.accept(moment.decide()).spec(suspend=True)
    assert moment.decide().status.phase == "Failed"


@pytest.mark.parametrize("policy", list(SuspendPolicy))
@pytest.mark.parametrize("key", ["import", "eft", "sft", "respond-1", "judge-1", "dpo-1", "evaluate-m1"])
def test_suspending_any_step_changes_nothing_of_the_end(key: str, policy: SuspendPolicy) -> None:
    walk = a_walk()
    walk.until(f"{key}=Running")
    walk.edit(suspend=True, suspend_policy=policy)
    walk.until("suspended")
    walk.until("quiet")
    assert not [child for child in walk.world.children.values() if not child.seen.phase.is_terminal]
    assert walk.status.servings == []
    walk.edit(suspend=False)
    walk.finish()
    assert walk.status.phase == "Succeeded"
    assert walk.status.suspended_seconds > 0
    assert walk.row(key).failures == 0
    assert walk.row(key).attempt == (2 if policy is SuspendPolicy.IMMEDIATE else 1)
    assert not any(entry.state is ServingState.READY for entry in walk.status.servings)
