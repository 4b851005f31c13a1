"""Conditions: kstatus' three and our own, what they say, and when their transition time moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from plan.scenes import NOW, Scene, ago, failure, scene
from selfreward.api import Condition, ConditionStatus, ConditionType, Reason, ServingState, StepState
from selfreward.api.status import MAX_MESSAGE
from selfreward.plan import ChildPhase, Decision
from selfreward_steps.contract import FailureClass


def conditions(decision: Decision) -> dict[str, Condition]:
    return {condition.type.value: condition for condition in decision.status.conditions}


def started() -> Scene:
    return scene("sft").active("sft", running_at=ago(5)).child("sft", ChildPhase.RUNNING)


def failing() -> Scene:
    return scene("sft").active("sft").child("sft", ChildPhase.FAILED, failure=failure(FailureClass.PERMANENT))


def retrying() -> Scene:
    return scene("sft").active("sft").child("sft", ChildPhase.FAILED, failure=failure(FailureClass.APPLICATION))


def loading() -> Scene:
    moment = scene("prompts-1").serving("m1", ServingState.STARTING)
    return moment.server("m1", ChildPhase.RUNNING, waiting="loading the model")


def away() -> Scene:
    """A step runs, and its server is being replaced."""
    moment = scene("prompts-1").active("prompts-1", running_at=ago(5)).child("prompts-1", ChildPhase.RUNNING)
    return moment.serving("m1", ServingState.STOPPING, retry_at=ago(-5), message="CUDA out of memory")


def pending() -> Scene:
    return scene("sft").active("sft").child("sft", ChildPhase.PENDING, waiting="no GPU is free")


@pytest.mark.parametrize(
    ("at", "true", "reason", "message"),
    [
        pytest.param(lambda: scene(), {"Reconciling", "Progressing"}, Reason.RUNNING, "import", id="about to start"),
        pytest.param(started, {"Ready", "Progressing"}, Reason.RUNNING, "sft", id="started"),
        pytest.param(pending, {"Ready", "Progressing"}, Reason.RUNNING, "sft (no GPU is free)", id="pending"),
        pytest.param(
            loading,
            {"Ready", "Progressing"},
            Reason.WAITING_FOR_SERVING,
            "serving of m1: loading the model",
            id="a server is starting",
        ),
        pytest.param(
            away,
            {"Ready", "Progressing"},
            Reason.WAITING_FOR_SERVING,
            "serving of m1: CUDA out of memory",
            id="a server is being replaced",
        ),
        pytest.param(
            retrying, {"Ready"}, Reason.WAITING_FOR_RETRY, "sft: ExitCode: exit code 1", id="waits for a retry"
        ),
        pytest.param(
            lambda: scene("dpo-1").served("m1"), {"Ready", "Progressing"}, Reason.RUNNING, "between steps", id="between"
        ),
        pytest.param(
            failing, {"Stalled", "Failed"}, Reason.CONFIGURATION_ERROR, "sft: ExitCode: exit code 1", id="failed"
        ),
        pytest.param(
            lambda: scene("nothing"), {"Ready", "Succeeded"}, Reason.COMPLETED, "the last model is committed", id="done"
        ),
        pytest.param(
            lambda: started().spec(suspend=True),
            {"Ready", "Suspended"},
            Reason.SUSPENDED_BY_USER,
            "spec.suspend is true",
            id="suspended",
        ),
        pytest.param(
            lambda: scene().spec(suspend=True),
            {"Suspended"},
            Reason.SUSPENDED_BY_USER,
            "spec.suspend is true",
            id="suspended from the start",
        ),
    ],
)
def test_what_is_true(at: Callable[[], Scene], true: set[str], reason: Reason, message: str) -> None:
    moment = at()
    found = conditions(moment.decide())
    assert list(found) == [kind.value for kind in ConditionType if kind is not ConditionType.GATE_TRIPPED]
    assert {kind for kind, condition in found.items() if condition.status is ConditionStatus.TRUE} == true
    assert {condition.reason for condition in found.values()} == {reason}
    assert {found[kind].message for kind in true} == {message}
    assert {condition.observed_generation for condition in found.values()} == {moment.run.metadata.generation}


def test_a_run_that_waits_for_strangers_has_not_started() -> None:
    moment = scene().child("import", ChildPhase.RUNNING, name="run-import-a7")
    ready = conditions(moment.decide())["Ready"]
    assert (ready.status, ready.reason, ready.message) == ("False", Reason.PENDING, "nothing has started yet")


def test_transition_times_move_only_with_the_status() -> None:
    moment = started()
    moment.accept(moment.decide()).later(50)
    moment.children.clear()
    found = conditions(moment.decide())
    assert found["Progressing"].last_transition_time == moment.now
    assert {condition.last_transition_time for kind, condition in found.items() if kind != "Progressing"} == {NOW}


def test_ready_stays_when_the_first_child_is_lost() -> None:
    moment = scene().active("import", running_at=ago(5)).child("import", ChildPhase.RUNNING)
    moment.accept(moment.decide())
    moment.children.clear()
    assert conditions(moment.decide())["Ready"].status is ConditionStatus.TRUE


def test_a_long_message_is_cut() -> None:
    why = failure(FailureClass.PERMANENT, message="x" * 5000)
    moment = scene("sft").active("sft").child("sft", ChildPhase.FAILED, failure=why)
    message = conditions(moment.decide())["Failed"].message
    assert len(message) == MAX_MESSAGE
    assert message.endswith("…")


def test_the_reason_of_a_failure_stays() -> None:
    moment = failing()
    first = moment.decide()
    moment.accept(first).later(100)
    again = moment.decide()
    assert again.status is first.status
    assert conditions(again)["Failed"].reason == Reason.CONFIGURATION_ERROR
    assert moment.row("sft").state is StepState.FAILED
