"""Between two iterations: waiting for a time, or for approval."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from plan.runs import a_walk
from plan.scenes import NOW, Scene, ago, created, row, scene
from selfreward.api import APPROVED, ConditionStatus, ConditionType, Phase, Reason, Schedule, StepState
from selfreward.plan import ChildPhase, Decision
from selfreward.plan.types import EventReason

NIGHTLY = Schedule(cron="0 22 * * *")
APPROVAL = Schedule(approval=True)


def between(schedule: Schedule | None, approved: str | None = None, **spec: Any) -> Scene:
    """M2 is there and evaluated; the second of two iterations is next. It is noon."""
    moment = scene("prompts-2", iterations=2, **spec).spec(schedule=schedule)
    return moment if approved is None else annotated(moment, approved)


def annotated(moment: Scene, approved: str) -> Scene:
    metadata = moment.run.metadata.model_copy(update={"annotations": {APPROVED: approved}})
    moment.run = moment.run.model_copy(update={"metadata": metadata})
    return moment


def story(decision: Decision) -> tuple[str, str]:
    ready = next(each for each in decision.status.conditions if each.type is ConditionType.READY)
    return ready.reason, ready.message


def test_without_a_schedule_it_starts_at_once() -> None:
    assert created(between(None).decide()) == ["serve-m2"]


class TestCron:
    def test_it_waits_for_its_time(self) -> None:
        decision = between(NIGHTLY).decide()
        assert created(decision) == []
        assert decision.status.phase is Phase.WAITING
        assert story(decision) == (Reason.WAITING_FOR_SCHEDULE, "iteration 2 starts at 2026-05-01T22:00:00+00:00")
        assert decision.requeue_after == 10 * 3600
        assert [event.reason for event in decision.events] == [EventReason.ITERATION_WAITING]

    def test_it_says_so_once(self) -> None:
        moment = between(NIGHTLY)
        first = moment.decide()
        again = moment.accept(first).later(60).decide()
        assert again.status is first.status
        assert again.events == ()

    def test_it_starts_when_the_time_has_come(self) -> None:
        moment = between(NIGHTLY)
        decision = moment.accept(moment.decide()).later(10 * 3600).decide()
        assert created(decision) == ["serve-m2"]
        assert decision.status.waiting_since == NOW, "until the iteration has begun its time must not be missed again"

    def test_a_time_that_was_missed_is_made_up_for(self) -> None:
        moment = between(NIGHTLY)
        assert created(moment.accept(moment.decide()).later(30 * 3600).decide()) == ["serve-m2"]

    def test_evaluation_goes_on_meanwhile(self) -> None:
        moment = scene("evaluate-m2", iterations=2).spec(schedule=NIGHTLY)
        decision = moment.decide()
        assert created(decision) == ["serve-m2"]
        assert decision.status.waiting_since == NOW
        moment.accept(decision).serving("m2", "Ready").server("m2", ChildPhase.READY)
        moment.status(servings=moment.run.status.servings[-1:])
        assert created(moment.decide()) == ["evaluate-m2"]

    def test_a_time_zone(self) -> None:
        decision = between(Schedule(cron="0 22 * * *", time_zone="America/New_York")).decide()
        assert story(decision)[1] == "iteration 2 starts at 2026-05-01T22:00:00-04:00"

    def test_a_new_time_counts_at_once(self) -> None:
        moment = between(NIGHTLY)
        moment.accept(moment.decide()).spec(schedule=Schedule(cron="@hourly")).later(10)
        assert story(moment.decide())[1] == "iteration 2 starts at 2026-05-01T13:00:00+00:00"

    def test_suspended_meanwhile_it_waits_for_the_next_time(self) -> None:
        moment = between(NIGHTLY)
        moment.accept(moment.decide()).spec(suspend=True).later(3600)
        held = moment.decide()
        assert (held.status.waiting_since, held.status.suspended_seconds) == (None, 3600)
        assert held.status.phase is Phase.SUSPENDED
        moment.accept(held).spec(suspend=False).later(12 * 3600)
        assert story(moment.decide())[1] == "iteration 2 starts at 2026-05-02T22:00:00+00:00"

    def test_the_first_iteration_waits_too(self) -> None:
        decision = scene("prompts-1").spec(schedule=NIGHTLY).decide()
        assert story(decision)[1].startswith("iteration 1 starts at")

    def test_the_way_to_m1_does_not(self) -> None:
        assert created(scene().spec(schedule=NIGHTLY).decide()) == ["import"]


class TestApproval:
    @pytest.mark.parametrize("approved", [None, "0", "1", "", "two", "-3"])
    def test_it_waits(self, approved: str | None) -> None:
        decision = between(APPROVAL, approved).decide()
        assert created(decision) == []
        assert decision.requeue_after is None
        reason, message = story(decision)
        assert reason == Reason.WAITING_FOR_APPROVAL
        assert 'iteration 2 waits for approval: set the annotation selfreward.dev/approved-iteration to "2"' in message

    def test_what_is_no_number_is_named(self) -> None:
        assert story(between(APPROVAL, "two").decide())[1].endswith("(it is 'two')")

    @pytest.mark.parametrize("approved", ["2", " 2 ", "99"])
    def test_it_starts(self, approved: str) -> None:
        assert created(between(APPROVAL, approved).decide()) == ["serve-m2"]

    def test_an_iteration_that_has_begun_is_not_stopped(self) -> None:
        moment = between(APPROVAL, "2").served("m2").active("prompts-2", running_at=ago(5))
        moment.child("prompts-2", ChildPhase.RUNNING)
        assert row(annotated(moment, "0").decide(), "prompts-2").state is StepState.RUNNING


def test_waiting_does_not_count_against_the_deadline() -> None:
    moment = between(APPROVAL, deadlines={"run": 5000, "progress": 100, "step": 1000}).status(started_at=ago(4000))
    moment.accept(moment.decide()).later(9000)
    assert moment.decide().status.phase is Phase.WAITING
    moment.accept(annotated(moment, "2").decide()).served("m2").status(servings=moment.run.status.servings[-1:])
    moment.accept(moment.decide())
    assert moment.row("prompts-2").state is StepState.STARTING
    after = moment.decide()
    assert after.status.suspended_seconds == 9000
    assert after.status.phase is Phase.ITERATING


def test_iterations_raised_on_a_finished_run_wait_their_turn() -> None:
    moment = scene("prompts-2", iterations=2).spec(schedule=NIGHTLY).status(finished_at=ago(90_000))
    decision = moment.decide()
    assert decision.status.finished_at is None
    assert story(decision)[0] == Reason.WAITING_FOR_SCHEDULE
    failed = next(each for each in decision.status.conditions if each.type is ConditionType.FAILED)
    assert failed.status is ConditionStatus.FALSE


def test_a_whole_run_goes_one_iteration_a_night() -> None:
    walk = a_walk(iterations=2, schedule={"cron": "0 22 * * *"}, evaluation={"enabled": False})
    walk.until("finished", beats=30_000)
    starts = [walk.row(f"prompts-{number}").started_at for number in (1, 2)]
    assert [start.hour for start in starts if start is not None] == [22, 22]
    assert starts[0] is not None
    assert starts[1] is not None
    assert starts[1] - starts[0] > timedelta(hours=23)


@pytest.mark.parametrize("cron", ["*/5 0-6,22 1 JAN-MAR MON", "@hourly"])
def test_a_time_that_comes(cron: str) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert (Schedule(cron=cron).opens_at(noon) or noon) > noon
