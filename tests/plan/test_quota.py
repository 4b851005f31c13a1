"""A run that reserves what it needs as a whole: nothing starts without it, and it is held no longer than needed."""

from __future__ import annotations

from typing import Any

import pytest
from plan.scenes import NOW, Scene, created, scene
from plan.test_schedule import story
from selfreward.api import Phase, Reason, Schedule, ServingState, StepState
from selfreward.plan import ChildPhase, Quota, QuotaAction, QuotaState
from selfreward.plan.types import EventReason

ABSENT, WAITING, ADMITTED, HELD, LOST = QuotaState
NIGHTLY = Schedule(cron="0 22 * * *")


def reserving(state: QuotaState, before: str = "", message: str = "no room", **spec: Any) -> Scene:
    moment = scene(before, **spec)
    moment.quota = Quota(state, message)
    return moment


@pytest.mark.parametrize(
    ("state", "action", "starts"),
    [
        (ABSENT, QuotaAction.RESERVE, []),
        (WAITING, None, []),
        (ADMITTED, QuotaAction.CONFIRM, ["import"]),
        (HELD, None, ["import"]),
        (LOST, QuotaAction.YIELD, []),
    ],
)
def test_nothing_starts_before_it_is_admitted(state: QuotaState, action: QuotaAction | None, starts: list[str]) -> None:
    decision = reserving(state).decide()
    assert (decision.quota, created(decision)) == (action, starts)


def test_a_run_that_waits_says_so_once_and_looks_again() -> None:
    moment = reserving(WAITING)
    decision = moment.decide()
    assert decision.status.phase is Phase.PENDING
    assert story(decision) == (Reason.WAITING_FOR_QUOTA, "no room")
    assert decision.requeue_after == 10
    assert [event.reason for event in decision.events] == [EventReason.QUOTA_WAITING]
    again = moment.accept(decision).later(60).decide()
    assert (again.status is decision.status, again.events) == (True, ())


def test_it_is_looked_for_soon_after_it_was_asked_for() -> None:
    assert reserving(ABSENT).decide().requeue_after == 1


def test_the_wait_counts_for_no_deadline() -> None:
    moment = reserving(WAITING, "respond-1")
    moment.status(started_at=NOW)
    moment.accept(moment.decide()).later(500)
    moment.quota = Quota(HELD)
    decision = moment.decide()
    assert (decision.status.suspended_seconds, decision.status.waiting_since) == (500, None)


def test_nor_does_what_passed_before_the_first_step() -> None:
    moment = reserving(WAITING)
    moment.accept(moment.decide()).later(500)
    moment.quota = Quota(HELD)
    decision = moment.decide()
    assert (decision.status.suspended_seconds, decision.status.waiting_since) == (0, None)


@pytest.mark.parametrize("state", [LOST, ABSENT])
def test_what_is_at_work_without_it_is_halted_and_goes_again(state: QuotaState) -> None:
    moment = reserving(state, "dpo-1").active("dpo-1").child("dpo-1", ChildPhase.RUNNING)
    decision = moment.decide()
    assert [child.name for child in decision.delete] == ["run-dpo-1-a1"]
    assert decision.quota is None, "its pods are there yet"
    row = moment.accept(decision).row("dpo-1")
    assert (row.state, row.failures, row.infrastructure_failures) == (StepState.WAITING, 0, 0)
    assert decision.status.phase is Phase.WAITING
    moment.children.clear()
    assert moment.decide().quota is (QuotaAction.YIELD if state is LOST else QuotaAction.RESERVE)
    moment.quota = Quota(HELD)
    decision = moment.decide()
    assert (created(decision), decision.status.phase) == (["dpo-1"], Phase.ITERATING)


def test_a_server_goes_before_it_is_yielded() -> None:
    moment = reserving(LOST, "respond-1").served("m1")
    decision = moment.decide()
    assert [child.name for child in decision.delete] == ["run-serve-m1-a1"]
    assert decision.quota is None


def test_it_is_given_back_while_the_run_is_suspended_and_asked_for_anew() -> None:
    moment = reserving(HELD, "dpo-1").active("dpo-1").child("dpo-1", ChildPhase.RUNNING).spec(suspend=True)
    decision = moment.decide()
    assert decision.quota is None
    moment.accept(decision).children.clear()
    assert moment.decide().quota is QuotaAction.RELEASE
    moment.quota = Quota(ABSENT)
    decision = moment.decide()
    assert (decision.quota, decision.status.phase) == (None, Phase.SUSPENDED)
    moment.accept(decision).spec(suspend=False)
    assert moment.decide().quota is QuotaAction.RESERVE


def test_a_run_suspended_while_it_waits_leaves_the_queue() -> None:
    assert reserving(WAITING).spec(suspend=True).decide().quota is QuotaAction.RELEASE


def test_it_is_given_back_until_the_time_of_the_next_iteration() -> None:
    moment = reserving(HELD, "prompts-2", iterations=2).spec(schedule=NIGHTLY)
    decision = moment.decide()
    assert (decision.quota, story(decision)[0]) == (QuotaAction.RELEASE, Reason.WAITING_FOR_SCHEDULE)
    moment.quota = Quota(ABSENT)
    assert moment.accept(decision).decide().quota is None
    moment.later(10 * 3600)
    decision = moment.decide()
    assert (decision.quota, story(decision)[0]) == (QuotaAction.RESERVE, Reason.WAITING_FOR_QUOTA)
    moment.quota = Quota(HELD)
    assert created(moment.accept(decision).decide()) == ["serve-m2"]


def test_but_not_before_the_last_model_is_evaluated() -> None:
    moment = reserving(HELD, "evaluate-m2", iterations=2).spec(schedule=NIGHTLY)
    decision = moment.decide()
    assert (created(decision), decision.quota) == (["serve-m2"], None)
    moment.accept(decision).serving("m2", ServingState.READY).server("m2", ChildPhase.READY)
    moment.status(servings=moment.run.status.servings[-1:])
    assert moment.decide().quota is None


def test_a_finished_run_gives_it_back_when_its_last_child_has_ended() -> None:
    moment = scene("evaluate-m2").active("evaluate-m2").served("m2")
    moment.child("evaluate-m2", ChildPhase.SUCCEEDED).commit("evaluation/m2")
    moment.quota = Quota(HELD)
    decision = moment.decide()
    assert (decision.status.phase, decision.quota) == (Phase.SUCCEEDED, None)
    moment.accept(decision)
    moment.children = [child for child in moment.children if child.key]
    assert moment.decide().quota is QuotaAction.RELEASE
