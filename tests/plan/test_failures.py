"""The table from failure class to action: counted, not counted, never tried again."""

from __future__ import annotations

from typing import Any

import pytest
from plan.scenes import Scene, ago, failure, row, scene
from selfreward.api import ConditionType, Reason, Retry, StepState
from selfreward.plan import ChildPhase, Failure
from selfreward.plan.failures import backoff_seconds
from selfreward.plan.types import EventReason
from selfreward_steps.contract import FailureClass

APPLICATION, INFRASTRUCTURE, PERMANENT = FailureClass.APPLICATION, FailureClass.INFRASTRUCTURE, FailureClass.PERMANENT


def fails(*why: Failure, **written: Any) -> Scene:
    """sft's child has failed, for these reasons of its pods."""
    return scene("sft").active("sft", **written).child("sft", ChildPhase.FAILED, failures=why)


def failed(decision: Any) -> tuple[str, str]:
    """Reason and message of the run's failure."""
    found = next(c for c in decision.status.conditions if c.type is ConditionType.FAILED)
    assert found.status == "True"
    return found.reason, found.message


@pytest.mark.parametrize(
    ("failures", "wait"),
    [
        pytest.param(0, 5, id="first"),
        pytest.param(1, 10, id="doubled"),
        pytest.param(2, 20, id="doubled again"),
    ],
)
def test_an_applications_failure_is_counted_and_tried_again(failures: int, wait: float) -> None:
    moment = fails(failure(APPLICATION), failures=failures, infrastructure_since=ago(500))
    after = row(moment.decide(), "sft")
    assert (after.state, after.failures) == (StepState.WAITING, failures + 1)
    assert (after.reason, after.message) == ("ExitCode", "exit code 1")
    assert after.retry_at == ago(-wait)
    assert (after.child, after.child_uid, after.infrastructure_since) == (None, None, None)


def test_a_step_fails_after_its_last_retry() -> None:
    decision = fails(failure(APPLICATION), failures=3, attempt=9).decide()
    after = row(decision, "sft")
    assert (after.state, after.failures, after.child) == (StepState.FAILED, 4, "run-sft-a1")
    assert failed(decision) == (Reason.STEP_FAILED, "sft: ExitCode: exit code 1")
    assert decision.status.finished_at is not None


def test_without_retries_the_first_failure_is_the_last() -> None:
    moment = fails(failure(APPLICATION)).spec(retry=Retry(limit=0))
    assert row(moment.decide(), "sft").state is StepState.FAILED


@pytest.mark.parametrize(
    ("since", "wait"),
    [
        pytest.param(None, 5, id="the first of a streak"),
        pytest.param(ago(2), 5, id="soon after"),
        pytest.param(ago(30), 30, id="as long as the streak is old"),
        pytest.param(ago(500), 40, id="up to the longest wait"),
    ],
)
def test_an_infrastructure_fault_is_not_counted(since: Any, wait: float) -> None:
    moment = fails(failure(INFRASTRUCTURE, "Evicted"), failures=3, infrastructure_since=since)
    after = row(moment.decide(), "sft")
    assert (after.state, after.failures, after.infrastructure_failures) == (StepState.WAITING, 3, 1)
    assert after.infrastructure_since == (since or ago(0))
    assert after.retry_at == ago(-wait)


def test_nothing_but_infrastructure_faults_for_too_long_fails_the_step() -> None:
    moment = fails(failure(INFRASTRUCTURE, "Evicted", "the node was low on memory"), infrastructure_since=ago(1000))
    reason, message = failed(moment.decide())
    assert reason == Reason.INFRASTRUCTURE_TIMEOUT
    assert message == (
        "sft: InfrastructureTimeout: nothing but infrastructure faults for 1000 s; "
        "the last: Evicted: the node was low on memory"
    )
    almost = fails(failure(INFRASTRUCTURE), infrastructure_since=ago(999))
    assert row(almost.decide(), "sft").state is StepState.WAITING


def test_a_permanent_failure_is_never_tried_again() -> None:
    told = Failure(PERMANENT, "ChatTemplateMissing", "model: no chat template", reported=True)
    decision = fails(told).decide()
    after = row(decision, "sft")
    assert (after.state, after.failures) == (StepState.FAILED, 0)
    assert (after.reason, after.message) == ("ChatTemplateMissing", "model: no chat template")
    assert failed(decision) == (Reason.CONFIGURATION_ERROR, "sft: ChatTemplateMissing: model: no chat template")


def said(kind: FailureClass) -> Failure:
    return Failure(kind, "Own", "own words", reported=True)


@pytest.mark.parametrize(
    ("pods", "reason", "counted"),
    [
        pytest.param((), "Failed", True, id="nobody says why"),
        pytest.param((failure(APPLICATION),), "ExitCode", True, id="the cluster alone"),
        pytest.param((said(INFRASTRUCTURE),), "Own", False, id="the step alone"),
        pytest.param((failure(INFRASTRUCTURE), said(APPLICATION)), "Own", True, id="the worst pod counts"),
        pytest.param((said(INFRASTRUCTURE), failure(APPLICATION)), "ExitCode", True, id="whoever says so"),
        pytest.param((said(APPLICATION), said(PERMANENT)), "Own", None, id="the worst of all"),
        pytest.param((failure(APPLICATION), said(APPLICATION)), "Own", True, id="the rank that failed, not its peers"),
    ],
)
def test_of_several_pods_failures_one_counts(pods: tuple[Failure, ...], reason: str, counted: bool | None) -> None:
    after = row(fails(*pods).decide(), "sft")
    assert after.reason == reason
    expected = {True: (1, 0), False: (0, 1), None: (0, 0)}[counted]
    assert (after.failures, after.infrastructure_failures) == expected


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(1, 10), (2, 20), (5, 160), (6, 300), (10**6, 300)],
    ids=["first", "second", "fifth", "capped", "a million"],
)
def test_backoff(failures: int, seconds: float) -> None:
    assert backoff_seconds(Retry(), failures) == seconds


def test_every_failure_is_told() -> None:
    again = fails(failure(APPLICATION)).decide()
    assert [(event.reason, event.message) for event in again.events if event.warning] == [
        (EventReason.STEP_RETRIED, "sft, attempt 1: ExitCode: exit code 1; again in 5 s")
    ]
    last = fails(failure(PERMANENT)).decide()
    assert [event.reason for event in last.events] == [EventReason.STEP_FAILED, EventReason.RUN_FAILED]


def test_the_first_failure_of_several_is_the_runs() -> None:
    moment = scene("prompts-1").active("evaluate-m1").active("prompts-1").served("m1")
    moment.put("evaluate-m1", state=StepState.RUNNING, outputs={}, finished_at=None)
    for key in ("evaluate-m1", "prompts-1"):
        moment.child(key, ChildPhase.FAILED, failure=failure(PERMANENT, f"Of-{key}"))
    assert failed(moment.decide())[1] == "evaluate-m1: Of-evaluate-m1: exit code 1"
