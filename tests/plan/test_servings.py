"""The life of a server: started, watched, replaced, stopped, forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from plan.scenes import Scene, ago, created, deleted, digest, failure, row, scene, serving
from selfreward.api import ConditionType, Reason, ServingState, StepState
from selfreward.plan import ChildKind, ChildPhase, CreateServing, ModelSize
from selfreward.plan.types import EventReason
from selfreward_steps.contract import CACHE_BYTES_PER_TOKEN, PARAMETERS, FailureClass

STARTING, READY, STOPPING = ServingState.STARTING, ServingState.READY, ServingState.STOPPING
NO_EVALUATION: dict[str, Any] = {"evaluation": {"enabled": False}}


def wanted() -> Scene:
    """prompts-1 is ready and needs m1's server."""
    return scene("prompts-1", **NO_EVALUATION)


def test_a_server_is_written_before_it_is_created() -> None:
    decision = wanted().decide()
    assert decision.create == (CreateServing("run-serve-m1-a1", "m1", 1, digest("m1")),)
    entry = serving(decision, "m1")
    assert entry is not None
    assert (entry.state, entry.child, entry.child_uid, entry.attempt) == (STARTING, "run-serve-m1-a1", None, 1)
    assert row(decision, "prompts-1").state is StepState.WAITING


@pytest.mark.parametrize(
    ("judge", "served", "size"),
    [
        ({}, "m1", ModelSize(1_000, 64)),
        ({"model": "model", "source": {"uri": "hf://a/judge"}}, "judge-model", None),
    ],
)
def test_a_server_is_told_the_size_that_the_import_found(
    judge: dict[str, Any], served: str, size: ModelSize | None
) -> None:
    key = "prompts-1" if served == "m1" else "judge-1"
    moment = scene(key, judge=judge, **NO_EVALUATION)
    for each in moment.run.status.iterations:
        for step in each.steps:
            if step.key == "import":
                step.metrics.update({PARAMETERS: 1_000.0, CACHE_BYTES_PER_TOKEN: 64.0})
    (create,) = [each for each in moment.decide().create if isinstance(each, CreateServing)]
    assert (create.model, create.size) == (served, size)


def test_a_server_nobody_has_seen_is_created_again_under_its_name() -> None:
    moment = wanted()
    moment.accept(moment.decide())
    decision = moment.decide()
    assert decision.status is moment.run.status
    assert created(decision) == ["serve-m1"]


def test_a_server_is_seen_then_ready_and_its_steps_start() -> None:
    moment = wanted().serving("m1", STARTING, child_uid=None).server("m1", ChildPhase.RUNNING, waiting="loading")
    moment.accept(moment.decide())
    entry = moment.run.status.servings[0]
    assert (entry.state, entry.child_uid, entry.message) == (STARTING, "uid-m1", "loading")
    moment.children.clear()
    decision = moment.server("m1", ChildPhase.READY).decide()
    after = serving(decision, "m1")
    assert after is not None
    assert (after.state, after.since, after.message) == (READY, ago(0), "")
    assert created(decision) == ["prompts-1"]
    assert decision.events[0].reason is EventReason.SERVING_READY


def test_what_keeps_it_from_being_ready_is_said_once() -> None:
    moment = wanted().serving("m1", STARTING).server("m1", ChildPhase.PENDING, waiting="pulling the image")
    decision = moment.decide()
    progressing = next(c for c in decision.status.conditions if c.type is ConditionType.PROGRESSING)
    assert progressing.reason == Reason.WAITING_FOR_SERVING
    assert progressing.message == "serving of m1: pulling the image"
    moment.accept(decision)
    assert moment.decide().status is decision.status


@pytest.mark.parametrize(
    ("phase", "why", "reason", "counted"),
    [
        pytest.param(ChildPhase.FAILED, failure(FailureClass.APPLICATION), "ExitCode", True, id="failed"),
        pytest.param(ChildPhase.FAILED, failure(FailureClass.INFRASTRUCTURE), "ExitCode", True, id="node lost"),
        pytest.param(ChildPhase.FAILED, None, "ServingFailed", True, id="failed without a word"),
        pytest.param(ChildPhase.SUCCEEDED, None, "ServingFailed", True, id="ended: a server has no end"),
        pytest.param(None, None, "ChildLost", False, id="vanished"),
    ],
)
def test_a_server_that_dies_is_replaced(phase: ChildPhase | None, why: Any, reason: str, counted: bool) -> None:
    """Under a running step, which tries again by itself for a while."""
    moment = wanted().active("prompts-1", running_at=ago(15)).child("prompts-1", ChildPhase.RUNNING)
    moment.serving("m1", READY)
    if phase is not None:
        moment.server("m1", phase, failure=why)
    decision = moment.decide()
    entry = serving(decision, "m1")
    assert entry is not None
    assert (entry.state, entry.failures, entry.retry_at) == (STOPPING, int(counted), ago(-5))
    assert entry.reason == reason
    assert deleted(decision) == ([] if phase is None else ["run-serve-m1-a1"])
    assert row(decision, "prompts-1").state is StepState.RUNNING
    moment.accept(decision).later(5)
    moment.children = [child for child in moment.children if child.kind is not ChildKind.SERVING]
    again = moment.decide()
    assert [command.name for command in again.create] == ["run-serve-m1-a2"]
    new = serving(again, "m1")
    assert new is not None
    assert (new.attempt, new.state, new.child_uid, new.failures) == (2, STARTING, None, int(counted))


def test_a_server_that_is_being_deleted_by_others_is_lost() -> None:
    moment = wanted().serving("m1", READY).server("m1", ChildPhase.READY, deleting=True)
    decision = moment.decide()
    entry = serving(decision, "m1")
    assert entry is not None
    assert (entry.state, entry.reason, entry.failures) == (STOPPING, Reason.CHILD_LOST, 0)
    assert created(moment.accept(decision).later(60).decide()) == [], "it must be gone first"


def test_a_server_that_has_not_started_is_replaced_when_its_spec_is_mended() -> None:
    moment = wanted().serving("m1", STARTING).server("m1", ChildPhase.PENDING, outdated=True)
    decision = moment.decide()
    entry = serving(decision, "m1")
    assert entry is not None
    assert (entry.state, entry.reason, entry.failures) == (STOPPING, Reason.SPEC_CHANGED, 0)
    assert deleted(decision) == ["run-serve-m1-a1"]
    assert moment.accept(decision).run.status.servings[0].retry_at == ago(-5)


@pytest.mark.parametrize("phase", [ChildPhase.RUNNING, ChildPhase.READY])
def test_a_server_that_has_started_stays_as_it_is(phase: ChildPhase) -> None:
    decision = wanted().serving("m1", READY).server("m1", phase, outdated=True).decide()
    assert deleted(decision) == []


def test_its_replacement_waits_for_its_time() -> None:
    moment = wanted().serving("m1", STOPPING, retry_at=ago(-7), failures=1, reason="ExitCode", message="died")
    decision = moment.decide()
    assert (created(decision), decision.requeue_after) == ([], 7)
    assert created(moment.later(7).decide()) == ["serve-m1"]


@pytest.mark.parametrize("seen", [True, False], ids=["pending", "never created"])
def test_the_serving_deadline(seen: bool) -> None:
    def at(seconds: float) -> Scene:
        moment = wanted().serving("m1", STARTING, since=ago(seconds), child_uid="uid-m1" if seen else None)
        return moment.server("m1", ChildPhase.PENDING, waiting="no GPU is free") if seen else moment

    early = at(99).decide()
    assert early.requeue_after == 1
    late = serving(at(100).decide(), "m1")
    assert late is not None
    assert (late.state, late.failures, late.reason) == (STOPPING, 1, Reason.SERVING_FAILED)
    why = "no GPU is free" if seen else "no answer"
    assert late.message == f"not ready after 100 s (deadlines.serving): {why}"


def test_a_server_that_falls_back_has_its_deadline_anew() -> None:
    moment = wanted().serving("m1", READY, since=ago(900)).server("m1", ChildPhase.PENDING)
    entry = serving(moment.decide(), "m1")
    assert entry is not None
    assert (entry.state, entry.since) == (STARTING, ago(0))


@pytest.mark.parametrize(
    ("kind", "failures", "fails"),
    [
        pytest.param(FailureClass.APPLICATION, 2, False, id="one start left"),
        pytest.param(FailureClass.APPLICATION, 3, True, id="none left"),
        pytest.param(FailureClass.PERMANENT, 0, True, id="permanent"),
    ],
)
def test_a_server_that_does_not_come_up_fails_the_run(kind: FailureClass, failures: int, fails: bool) -> None:
    moment = wanted().serving("m1", STARTING, failures=failures)
    moment.server("m1", ChildPhase.FAILED, failure=failure(kind, "ModelNotLoaded", "serving.args: unknown --x"))
    decision = moment.decide()
    failed = next(c for c in decision.status.conditions if c.type is ConditionType.FAILED)
    assert (failed.status == "True") is fails
    if fails:
        assert failed.reason == Reason.SERVING_FAILED
        assert failed.message == "serving of m1: ModelNotLoaded: serving.args: unknown --x"
    assert deleted(decision) == ["run-serve-m1-a1"]


@pytest.mark.parametrize(("age", "failures"), [(99, 4), (100, 1)], ids=["soon after", "after long service"])
def test_long_service_forgives(age: float, failures: int) -> None:
    moment = wanted().serving("m1", READY, since=ago(age), failures=3)
    moment.server("m1", ChildPhase.FAILED, failure=failure(FailureClass.APPLICATION))
    decision = moment.decide()
    assert (decision.status.finished_at is None) is (failures == 1)
    assert sum(event.reason is EventReason.RUN_FAILED for event in decision.events) == (failures > 1)


def test_a_server_nobody_needs_is_stopped_and_then_forgotten() -> None:
    moment = scene("pairs-1", **NO_EVALUATION).served("m1")
    decision = moment.decide()
    entry = serving(decision, "m1")
    assert entry is not None
    assert entry.state is STOPPING
    assert deleted(decision) == ["run-serve-m1-a1"]
    moment.accept(decision)
    moment.children.clear()
    assert moment.decide().status.servings == []


def test_a_stopping_server_that_is_needed_again_is_replaced_not_revived() -> None:
    moment = wanted().serving("m1", STOPPING).server("m1", ChildPhase.READY, deleting=True)
    assert created(moment.decide()) == []
    moment.children.clear()
    decision = moment.decide()
    assert [command.name for command in decision.create] == ["run-serve-m1-a2"]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda s: s.serving("m0", STOPPING).server("m0", ChildPhase.READY), id="another model's server"),
        pytest.param(lambda s: s.server("m0", ChildPhase.READY), id="a server nobody remembers"),
        pytest.param(lambda s: s.child("sft", ChildPhase.RUNNING), id="a training that has not ended"),
    ],
)
def test_a_server_waits_for_free_gpus(other: Any) -> None:
    moment = other(wanted())
    assert "serve-m1" not in created(moment.decide())
    moment.children.clear()
    assert created(moment.decide()) == ["serve-m1"]
