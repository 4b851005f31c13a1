"""Deadlines and hang detection, to the second, and that the walker is woken for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from plan.runs import DEADLINES
from plan.scenes import Scene, ago, created, deleted, progress, row, scene
from selfreward.api import ConditionType, Reason, ServingState, StepState, SuspendPolicy
from selfreward.plan import ChildPhase
from selfreward.plan.types import EventReason


def pending(seconds: float) -> Scene:
    """A child that has been pending for so long."""
    return (
        scene("sft").active("sft", started_at=ago(seconds)).child("sft", ChildPhase.PENDING, waiting="no GPU is free")
    )


def unseen(seconds: float) -> Scene:
    """A child that could not be created for so long."""
    return scene("sft").active("sft", StepState.STARTING, started_at=ago(seconds))


def requeued(seconds: float) -> Scene:
    """A child that ran, and went back to pending so long ago."""
    moment = scene("sft").active("sft", started_at=ago(900), running_at=ago(800), progressed_at=ago(seconds))
    return moment.child("sft", ChildPhase.PENDING, running_at=ago(800))


def long_running(seconds: float) -> Scene:
    """A child that has been running for so long and still talks."""
    moment = scene("sft").active("sft", started_at=ago(2000), running_at=ago(seconds))
    return moment.child("sft", ChildPhase.RUNNING, progress=progress(1, ago(1)))


def silent(seconds: float) -> Scene:
    """A child that has been running for so long and never talked."""
    return scene("sft").active("sft", running_at=ago(seconds)).child("sft", ChildPhase.RUNNING)


def fallen_silent(seconds: float) -> Scene:
    """A child that talked so long ago."""
    moment = scene("sft").active("sft", started_at=ago(990), running_at=ago(900), progressed_at=ago(seconds))
    return moment.child("sft", ChildPhase.RUNNING, progress=progress(1, ago(seconds)))


def not_committed(seconds: float) -> Scene:
    """A child that ended well so long ago, whose output is not there."""
    moment = scene("sft").active("sft", running_at=ago(90), finished_at=ago(seconds))
    return moment.child("sft", ChildPhase.SUCCEEDED)


@pytest.mark.parametrize(
    ("overdue", "limit", "reason", "message"),
    [
        pytest.param(
            pending,
            100,
            Reason.START_DEADLINE_EXCEEDED,
            "not running after 100 s (deadlines.start): no GPU is free",
            id="start",
        ),
        pytest.param(
            unseen,
            100,
            Reason.START_DEADLINE_EXCEEDED,
            "not running after 100 s (deadlines.start): no pod runs",
            id="never created",
        ),
        pytest.param(
            requeued,
            100,
            Reason.START_DEADLINE_EXCEEDED,
            "not running after 100 s (deadlines.start): no pod runs",
            id="pending again",
        ),
        pytest.param(
            long_running, 1000, Reason.DEADLINE_EXCEEDED, "still running after 1000 s (deadlines.step)", id="step"
        ),
        pytest.param(silent, 100, Reason.NO_PROGRESS, "silent for 100 s (deadlines.progress)", id="silence"),
        pytest.param(fallen_silent, 100, Reason.NO_PROGRESS, "silent for 100 s (deadlines.progress)", id="a hang"),
        pytest.param(
            not_committed,
            60,
            Reason.NOT_COMMITTED,
            "ended well, but 60 s later its output is not in the store",
            id="not committed",
        ),
    ],
)
def test_to_the_second(overdue: Callable[[float], Scene], limit: float, reason: Reason, message: str) -> None:
    early = overdue(limit - 1).decide()
    assert row(early, "sft").state in (StepState.RUNNING, StepState.STARTING)
    assert early.requeue_after is not None
    assert early.requeue_after <= 1, "the walker is woken when it is due"
    late = overdue(limit).decide()
    after = row(late, "sft")
    assert (after.state, after.reason, after.message) == (StepState.WAITING, reason, message)
    is_infrastructure = reason is Reason.START_DEADLINE_EXCEEDED
    assert (after.failures, after.infrastructure_failures) == ((0, 1) if is_infrastructure else (1, 0))
    assert deleted(late) == ([] if overdue is unseen else ["run-sft-a1"])


def test_a_child_that_ended_well_starts_the_clock_of_its_commit() -> None:
    moment = scene("sft").active("sft", running_at=ago(90)).child("sft", ChildPhase.SUCCEEDED)
    decision = moment.decide()
    assert row(decision, "sft").finished_at == ago(0)
    assert decision.requeue_after == 60


def test_an_attempt_that_never_starts_fails_the_step_in_the_end() -> None:
    moment = pending(100).put("sft", infrastructure_since=ago(1000))
    assert row(moment.decide(), "sft").state is StepState.FAILED


@pytest.mark.parametrize(
    ("state", "since", "silent"),
    [
        pytest.param(ServingState.READY, 100, True, id="the server has answered all the time"),
        pytest.param(ServingState.READY, 99, False, id="it answers again, but not for long"),
        pytest.param(ServingState.STARTING, 50, False, id="it is away"),
        pytest.param(None, 0, False, id="it does not even exist"),
    ],
)
def test_a_client_whose_server_is_away_does_not_hang(state: ServingState | None, since: float, silent: bool) -> None:
    moment = scene("prompts-1").active("prompts-1", started_at=ago(950), running_at=ago(900))
    moment.child("prompts-1", ChildPhase.RUNNING)
    if state is not None:
        phase = ChildPhase.READY if state is ServingState.READY else ChildPhase.PENDING
        moment.serving("m1", state, since=ago(since)).server("m1", phase)
    assert (row(moment.decide(), "prompts-1").reason == Reason.NO_PROGRESS) is silent


class TestRun:
    def at(self, seconds: float, **written: Any) -> Scene:
        """sft runs, and the run began so long ago; it has 5000 s."""
        moment = scene("sft", deadlines=DEADLINES | {"run": 5000}).status(started_at=ago(seconds), **written)
        moment.active("sft", running_at=ago(20))
        return moment.child("sft", ChildPhase.RUNNING, progress=progress(1, ago(1)))

    def test_too_long(self) -> None:
        decision = self.at(5000).decide()
        failed = next(c for c in decision.status.conditions if c.type is ConditionType.FAILED)
        assert (failed.reason, failed.message) == (
            Reason.DEADLINE_EXCEEDED,
            "not finished after 5000 s (deadlines.run)",
        )
        assert deleted(decision) == ["run-sft-a1"]
        assert row(decision, "sft").state is StepState.WAITING
        assert decision.events[-1].reason is EventReason.RUN_FAILED

    def test_not_yet(self) -> None:
        decision = self.at(4999).decide()
        assert row(decision, "sft").state is StepState.RUNNING
        assert decision.requeue_after == 1

    def test_time_suspended_does_not_count(self) -> None:
        assert row(self.at(5000, suspended_seconds=1).decide(), "sft").state is StepState.RUNNING
        assert row(self.at(5001, suspended_seconds=1).decide(), "sft").state is StepState.WAITING

    @pytest.mark.parametrize("policy", list(SuspendPolicy))
    def test_a_suspended_run_is_not_late(self, policy: SuspendPolicy) -> None:
        moment = scene("sft", deadlines=DEADLINES | {"run": 5000}).status(started_at=ago(9000), suspended_at=ago(8000))
        decision = moment.spec(suspend=True, suspend_policy=policy).decide()
        assert decision.status.phase == "Suspended"
        assert decision.requeue_after is None

    def test_resuming_stops_the_clock_first(self) -> None:
        moment = self.at(9000, suspended_at=ago(8000))
        decision = moment.decide()
        assert decision.status.suspended_seconds == 8000
        assert decision.status.finished_at is None

    def test_a_finished_run_is_not_late(self) -> None:
        moment = scene("nothing", deadlines=DEADLINES | {"run": 5000}).status(started_at=ago(9000))
        assert moment.decide().status.phase == "Succeeded"

    def test_a_run_that_has_not_started_has_no_deadline(self) -> None:
        moment = scene("", deadlines=DEADLINES | {"run": 5000})
        assert created(moment.decide()) == ["import"]
