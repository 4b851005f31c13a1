"""Children that must go, and those that are kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from plan.scenes import Scene, ago, deleted, progress, scene
from selfreward.api import DeletionPolicy, StepState
from selfreward.plan import ChildKind, ChildPhase, DeleteChild


def done(phase: ChildPhase, seconds: float, **changes: object) -> Scene:
    """pairs-1 has succeeded so long ago; its child is seen in some phase."""
    moment = scene("dpo-1").put("pairs-1", child="run-pairs-1-a1", child_uid="uid-pairs-1", finished_at=ago(seconds))
    return moment.child("pairs-1", phase, **changes)


def running(**changes: object) -> Scene:
    """dpo-1 runs as it should."""
    moment = scene("dpo-1").active("dpo-1", running_at=ago(9))
    return moment.child("dpo-1", ChildPhase.RUNNING, progress=progress(1, ago(1)), **changes)


@pytest.mark.parametrize(
    ("see", "gone"),
    [
        pytest.param(lambda: running(), [], id="the current attempt"),
        pytest.param(
            lambda: running().child("dpo-1", ChildPhase.RUNNING, name="run-dpo-1-a0", uid="old"),
            ["run-dpo-1-a0"],
            id="an earlier attempt that came back",
        ),
        pytest.param(
            lambda: running().child("dpo-1", ChildPhase.RUNNING, uid="twin"), ["run-dpo-1-a1"], id="a twin of that name"
        ),
        pytest.param(lambda: done(ChildPhase.SUCCEEDED, 9999), [], id="ended well: kept for its logs"),
        pytest.param(lambda: done(ChildPhase.FAILED, 9999), [], id="committed, and said it failed: kept"),
        pytest.param(lambda: done(ChildPhase.RUNNING, 29), [], id="committed, about to end"),
        pytest.param(lambda: done(ChildPhase.RUNNING, 30), ["run-pairs-1-a1"], id="committed, and does not end"),
        pytest.param(lambda: done(ChildPhase.RUNNING, 30, deleting=True), [], id="on its way out already"),
        pytest.param(
            lambda: done(ChildPhase.SUCCEEDED, 9, name="run-pairs-1-a2"), ["run-pairs-1-a2"], id="a later attempt"
        ),
        pytest.param(lambda: scene("dpo-1").server("m0", ChildPhase.READY), ["run-serve-m0-a1"], id="a stray server"),
    ],
)
def test_who_must_go(see: Callable[[], Scene], gone: list[str]) -> None:
    assert deleted(see().decide()) == gone


@pytest.mark.parametrize(
    ("see", "gone"),
    [
        pytest.param(lambda: done(ChildPhase.SUCCEEDED, 1), ["run-pairs-1-a1"], id="ended well"),
        pytest.param(lambda: done(ChildPhase.FAILED, 1), ["run-pairs-1-a1"], id="committed, and said it failed"),
        pytest.param(lambda: done(ChildPhase.RUNNING, 1), [], id="about to end"),
        pytest.param(
            lambda: running().put("dpo-1", state=StepState.FAILED).child("dpo-1", ChildPhase.FAILED), [], id="failed"
        ),
    ],
)
def test_who_must_go_where_the_user_wants_none_kept(see: Callable[[], Scene], gone: list[str]) -> None:
    moment = see()
    moment.children[:-1] = []
    assert deleted(moment.spec(deletion_policy=DeletionPolicy(children="Delete")).decide()) == gone


def test_children_of_unknown_steps_go() -> None:
    moment = running()
    moment.children.append(moment.children[0].__class__("x", "u", ChildKind.JOB, ChildPhase.PENDING, ago(1), key="no"))
    assert moment.decide().delete == (DeleteChild("x", "u", ChildKind.JOB, "belongs to no current attempt"),)


@pytest.mark.parametrize(
    ("phase", "gone"),
    [pytest.param(ChildPhase.RUNNING, True, id="live"), pytest.param(ChildPhase.FAILED, False, id="ended: kept")],
)
def test_the_child_of_a_failed_step(phase: ChildPhase, gone: bool) -> None:
    moment = scene("dpo-1").put("dpo-1", state=StepState.FAILED, child="run-dpo-1-a1", child_uid="uid-dpo-1")
    assert bool(deleted(moment.child("dpo-1", phase).decide())) is gone


def test_the_walker_is_woken_for_a_child_that_lingers() -> None:
    moment = scene("nothing").put("evaluate-m2", child="run-evaluate-m2-a1", finished_at=ago(10))
    moment.child("evaluate-m2", ChildPhase.RUNNING)
    decision = moment.decide()
    assert decision.requeue_after == 20
    assert decision.status.finished_at is None, "a run is not over while a child may still say how it went"
