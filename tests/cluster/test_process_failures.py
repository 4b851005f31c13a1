"""From how a process ended to who must act."""

from __future__ import annotations

import pytest
from selfreward.cluster.kubernetes.failures import container_failure
from selfreward.cluster.local.failures import failure_of
from selfreward.cluster.local.process import Exit
from selfreward.cluster.ranks import FallenRank
from selfreward_steps.contract import FailureClass, StepName, StepResult

RESULT = StepResult(
    step=StepName.DPO,
    succeeded=False,
    reason="LossIsNaN",
    message="the loss became NaN at step 3",
    failure_class=FailureClass.APPLICATION,
)


@pytest.mark.parametrize(
    ("code", "result", "failure_class", "reason"),
    [
        pytest.param(1, RESULT, FailureClass.APPLICATION, "LossIsNaN", id="the step's own word"),
        pytest.param(64, None, FailureClass.PERMANENT, "ConfigurationError", id="64"),
        pytest.param(69, None, FailureClass.INFRASTRUCTURE, "Unavailable", id="69"),
        pytest.param(1, None, FailureClass.APPLICATION, "Failed", id="1"),
        pytest.param(127, None, FailureClass.APPLICATION, "Failed", id="not found"),
        pytest.param(-15, None, FailureClass.INFRASTRUCTURE, "Stopped", id="SIGTERM"),
        pytest.param(143, None, FailureClass.INFRASTRUCTURE, "Stopped", id="143"),
        pytest.param(-9, None, FailureClass.APPLICATION, "Killed", id="SIGKILL counts: out of memory would recur"),
        pytest.param(137, None, FailureClass.APPLICATION, "Killed", id="137"),
        pytest.param(-11, None, FailureClass.APPLICATION, "Crashed", id="SIGSEGV"),
        pytest.param(None, None, FailureClass.INFRASTRUCTURE, "Lost", id="supervisor killed"),
    ],
)
def test_classes(code: int | None, result: StepResult | None, failure_class: FailureClass, reason: str) -> None:
    failure = failure_of(Exit(code=code, asked=False), result, "the last words")
    assert (failure.failure_class, failure.reason) == (failure_class, reason)


def test_a_result_without_a_class_is_the_attempts_failure() -> None:
    result = StepResult(step=StepName.DPO, succeeded=False, reason="Own", message="own words")
    failure = failure_of(Exit(code=69, asked=False), result, "")
    assert (failure.failure_class, failure.message) == (FailureClass.APPLICATION, "own words")


def test_a_result_of_success_does_not_hide_a_failure() -> None:
    result = StepResult(step=StepName.DPO, succeeded=True, reason="Committed")
    assert failure_of(Exit(code=-11, asked=False), result, "").reason == "Crashed"


@pytest.mark.parametrize(
    "words", ["ImportError: libcudnn.so.9: cannot open", "ModuleNotFoundError: No module named 'x'"]
)
def test_a_program_that_cannot_import_what_it_needs_is_not_tried_again(words: str) -> None:
    expected = (FailureClass.PERMANENT, "PackageMissing")
    here = failure_of(Exit(code=1, asked=False), None, words)
    there = container_failure("main", {"exitCode": 1, "message": f"Traceback\n  File x\n{words}\n"})
    assert [(each.failure_class, each.reason) for each in (here, there)] == [expected, expected]
    assert words in here.message
    assert words in there.message


def test_the_message_is_the_last_words() -> None:
    assert failure_of(Exit(code=1, asked=False), None, "ValueError: no").message == "ValueError: no"
    assert "no word" in failure_of(Exit(code=1, asked=False), None, "").message


_STOPPED = StepResult(
    step=StepName.DPO,
    succeeded=False,
    reason="Stopped",
    message="stopped by signal 15",
    failure_class=FailureClass.INFRASTRUCTURE,
)


@pytest.mark.parametrize(
    ("number", "failure_class", "message"),
    [
        (
            9,
            FailureClass.APPLICATION,
            "process 1 of the training was killed (SIGKILL), most likely because memory ran out",
        ),
        (11, FailureClass.APPLICATION, "process 1 of the training crashed with SIGSEGV"),
        (15, FailureClass.INFRASTRUCTURE, "process 1 of the training was stopped by SIGTERM from outside"),
    ],
)
def test_a_rank_that_was_killed_is_told_in_place_of_the_others_that_were_stopped_for_it(
    number: int, failure_class: FailureClass, message: str
) -> None:
    for result in (_STOPPED, None):
        failure = failure_of(Exit(code=1, asked=False), result, "ChildFailedError:", FallenRank(1, number))
        assert (failure.failure_class, failure.message) == (failure_class, message)


def test_what_a_rank_said_of_its_own_failure_comes_before_a_rank_that_was_killed_after_it() -> None:
    failure = failure_of(Exit(code=1, asked=False), RESULT, "ChildFailedError:", FallenRank(1, 9))
    assert failure.reason == "LossIsNaN"
