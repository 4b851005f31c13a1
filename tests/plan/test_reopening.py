"""Going on after the end: retrying a failed run, raising the iterations of a complete one."""

from __future__ import annotations

from typing import Any

import pytest
from plan.faults import Fate, Scripted
from plan.runs import a_walk
from plan.scenes import NOW, Scene, ago, created, failure, row, scene
from plan.walk import outputs
from selfreward.api import ConditionType, Deadlines, Reason, Serving, ServingState, StepState
from selfreward.plan import ChildPhase, retry_failed
from selfreward.plan.types import EventReason
from selfreward_steps.contract import FailureClass


def failed(kind: FailureClass = FailureClass.APPLICATION) -> Scene:
    """dpo-1 has failed for good, a minute ago, and it has been written."""
    moment = scene("dpo-1").active("dpo-1", attempt=4, failures=3, child="run-dpo-1-a4")
    moment.child("dpo-1", ChildPhase.FAILED, name="run-dpo-1-a4", failure=failure(kind))
    moment.accept(moment.decide()).later(60)
    assert moment.run.status.phase == "Failed"
    return moment


def test_failed_is_final() -> None:
    moment = failed()
    for _ in range(2):
        decision = moment.later(10_000).decide()
        assert decision.status is moment.run.status
        assert (decision.create, decision.delete, decision.requeue_after) == ((), (), None)


def test_retrying_goes_on_from_the_failed_step() -> None:
    moment = failed()
    status = retry_failed(moment.run.status, moment.now)
    assert status.finished_at is None
    assert status.suspended_seconds == 60, "the time it lay failed does not count to its deadline"
    assert {c.type for c in status.conditions}.isdisjoint({ConditionType.FAILED, ConditionType.STALLED})
    moment.run = moment.run.model_copy(update={"status": status})
    moment.accept(moment.decide())
    assert moment.run.status.phase == "Iterating"
    assert (moment.row("dpo-1").state, moment.row("dpo-1").failures) == (StepState.WAITING, 0)
    assert moment.row("pairs-1").state is StepState.SUCCEEDED
    moment.children.clear()
    after = row(moment.decide(), "dpo-1")
    assert (after.state, after.attempt, after.child) == (StepState.STARTING, 5, "run-dpo-1-a5")


def test_retrying_forgives_servers() -> None:
    moment = scene("prompts-1").serving("m1", ServingState.STARTING, failures=3)
    moment.server("m1", ChildPhase.FAILED, failure=failure(FailureClass.APPLICATION))
    moment.accept(moment.decide())
    assert moment.run.status.phase == "Failed"
    (entry,) = retry_failed(moment.run.status, NOW).servings
    assert (entry.failures, entry.retry_at, entry.message) == (0, None, "")


def test_a_run_that_has_not_failed_is_left_alone() -> None:
    moment = scene("sft").active("sft")
    moment.accept(moment.decide())
    assert retry_failed(moment.run.status, NOW) is moment.run.status


def serving_failed() -> Scene:
    moment = scene("prompts-1").serving("m1", ServingState.STARTING)
    moment.server("m1", ChildPhase.FAILED, failure=failure(FailureClass.PERMANENT, "ModelNotLoaded"))
    moment.accept(moment.decide())
    moment.children.clear()
    return moment.accept(moment.decide())


def late() -> Scene:
    moment = scene("sft", deadlines={"run": 500}).status(started_at=ago(500))
    return moment.accept(moment.decide())


@pytest.mark.parametrize(
    ("broken", "repair", "goes_on"),
    [
        pytest.param(lambda: failed(FailureClass.PERMANENT), {"random_seed": 1}, True, id="a configuration error"),
        pytest.param(serving_failed, {"serving": Serving(args=["--y"])}, True, id="a server that did not come up"),
        pytest.param(late, {"deadlines": Deadlines(run=5000)}, True, id="too late, and given more time"),
        pytest.param(late, {"deadlines": Deadlines(run=501, step=9)}, True, id="given a little more time"),
        pytest.param(late, {"random_seed": 1}, False, id="too late, and given none"),
        pytest.param(failed, {"random_seed": 1}, False, id="retries used up: somebody must ask"),
    ],
)
def test_repairing_the_spec(broken: Any, repair: dict[str, Any], goes_on: bool) -> None:
    moment = broken()
    moment.children.clear()
    decision = moment.spec(**repair).decide()
    assert (decision.status.phase != "Failed") is goes_on
    assert bool(created(decision)) is goes_on
    assert (EventReason.RUN_REOPENED in [event.reason for event in decision.events]) is (goes_on or broken is late)
    assert decision.status.observed_generation == 2


def test_a_run_that_ended_before_there_was_a_step_stays_ended() -> None:
    """A newer version's graph measures the SFT baseline; M1 was measured without it."""
    walk = a_walk()
    walk.finish()
    first = walk.status.iterations[0]
    steps = [row for row in first.steps if row.key != "evaluate-sft-baseline"]
    assert len(steps) == len(first.steps) - 1
    iterations = [first.model_copy(update={"steps": steps}), *walk.status.iterations[1:]]
    ended = walk.status.model_copy(update={"iterations": iterations})
    walk.rewrite(ended)
    walk.step()
    assert (walk.status.phase, walk.status.finished_at) == ("Succeeded", ended.finished_at)


def test_raising_iterations_goes_on() -> None:
    walk = a_walk()
    walk.finish()
    first = outputs(walk.status)
    assert (walk.status.phase, walk.status.iteration, walk.status.model) == ("Succeeded", 1, "m2")
    finished_at = walk.status.finished_at
    for _ in range(6):
        walk.step()
    walk.edit(iterations=2)
    walk.step()
    assert (walk.status.phase, walk.status.finished_at) == ("Iterating", None)
    assert finished_at is not None
    assert walk.status.suspended_seconds == (walk.world.now - finished_at).total_seconds() - 10
    assert EventReason.RUN_REOPENED in [event.reason for event in walk.events]
    walk.finish()
    assert (walk.status.phase, walk.status.iteration, walk.status.model) == ("Succeeded", 2, "m3")
    assert first.items() <= outputs(walk.status).items()
    whole = a_walk(iterations=2)
    whole.finish()
    assert outputs(walk.status) == outputs(whole.status)


def test_a_failed_walk_retried_ends_as_if_nothing_had_happened() -> None:
    walk = a_walk(Scripted({"dpo-1": [Fate.FAIL] * 4, "import": [Fate.FAIL_PERMANENT]}))
    for reason in (Reason.CONFIGURATION_ERROR, Reason.STEP_FAILED):
        walk.finish()
        assert walk.condition(ConditionType.FAILED) == f"True/{reason}"
        walk.rewrite(retry_failed(walk.status, walk.world.now))
    walk.finish()
    assert walk.status.phase == "Succeeded"
    plain = a_walk()
    plain.finish()
    assert outputs(walk.status) == outputs(plain.status)
