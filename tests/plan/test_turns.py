"""Turns: one server or one training at a time, none starves, and little stands idle."""

from __future__ import annotations

from typing import Any

import pytest
from plan.faults import Fate, Scripted
from plan.runs import DATA, a_walk
from plan.scenes import Scene, ago, created, row, scene
from selfreward.api import ServingState, StepState
from selfreward.plan import ChildPhase

INITIAL = {"prompts": {"generator": "initial", "source": DATA}}
JUDGED_BY_M1 = {"judge": {"model": "initial"}}


def servers(decision: Any) -> list[str]:
    """Models whose server may be up or coming."""
    return [entry.model for entry in decision.status.servings if entry.state is not ServingState.STOPPING]


def test_both_steps_of_a_server_start_together() -> None:
    decision = scene("evaluate-m1").served("m1").decide()
    assert created(decision) == ["evaluate-m1", "prompts-1"]


@pytest.mark.parametrize("shards", [0, 1], ids=["no answers yet", "the first answers"])
def test_judging_starts_with_the_first_committed_shard(shards: int) -> None:
    moment = (
        scene("respond-1").served("m1").active("respond-1", running_at=ago(9)).child("respond-1", ChildPhase.RUNNING)
    )
    moment.shards["iteration-1/responses"] = shards
    assert created(moment.decide()) == ["judge-1"] * shards


def test_training_waits_for_a_running_evaluation() -> None:
    moment = scene("dpo-1").served("m1").active("evaluate-m1", running_at=ago(9), outputs={}, finished_at=None)
    moment.child("evaluate-m1", ChildPhase.RUNNING)
    decision = moment.decide()
    assert (created(decision), servers(decision)) == ([], ["m1"])


def test_training_waits_until_the_server_is_gone() -> None:
    moment = scene("dpo-1").served("m1")
    decision = moment.decide()
    assert (created(decision), servers(decision)) == ([], [])
    moment.accept(decision)
    assert created(moment.decide()) == [], "it still stops"
    moment.children.clear()
    assert created(moment.decide()) == ["dpo-1"]


@pytest.mark.parametrize(
    ("retry_in", "starts"),
    [
        pytest.param(0, ["evaluate-m1"], id="due"),
        pytest.param(60, [], id="soon: the server is kept"),
        pytest.param(61, [], id="far: the server goes, training follows"),
    ],
)
def test_a_server_is_held_for_a_retry_that_is_near(retry_in: float, starts: list[str]) -> None:
    moment = scene("dpo-1").served("m1")
    moment.put("evaluate-m1", state=StepState.WAITING, outputs={}, finished_at=None, retry_at=ago(-retry_in))
    decision = moment.decide()
    assert created(decision) == starts
    assert servers(decision) == ([] if retry_in > 60 else ["m1"])
    moment.accept(decision)
    moment.children.clear()
    if retry_in > 60:
        assert created(moment.decide()) == ["dpo-1"]


def test_without_a_server_a_near_retry_holds_nobody_up() -> None:
    moment = scene("dpo-1").put("evaluate-m1", state=StepState.WAITING, outputs={}, finished_at=None, retry_at=ago(-5))
    assert created(moment.decide()) == ["dpo-1"]


def test_an_evaluation_that_nobody_else_brings_a_server_for_goes_first() -> None:
    """So evaluation, which later ones are compared with, is not put off to the end of the run."""
    moment = scene("prompts-2", iterations=2)
    for key in ("evaluate-m1", "evaluate-m2"):
        moment.put(key, state=StepState.WAITING, outputs={}, finished_at=None)
    assert created(moment.decide()) == ["serve-m1"]


def test_an_evaluation_rides_along_with_the_main_line() -> None:
    """M1 writes prompts 2 first, since M2 comes up for its answers anyway: two loads, not three."""
    moment = scene("evaluate-m2", iterations=2, **INITIAL)
    assert created(moment.decide()) == ["serve-m1"]


def test_an_evaluation_does_not_wait_while_nothing_else_needs_gpus() -> None:
    moment = scene("evaluate-m1", prompts={"generator": "file", "source": DATA})
    assert created(moment.decide()) == ["serve-m1", "prompts-1"]


@pytest.mark.parametrize(
    "spec",
    [JUDGED_BY_M1, {"judge": {"model": "model", "source": {"uri": "hf://o/j"}}}, INITIAL],
    ids=["M1", "other", "prompts"],
)
def test_servers_of_two_models_take_turns(spec: dict[str, Any]) -> None:
    """The walk itself checks after every beat that the GPUs have one holder."""
    walk = a_walk(iterations=2, **spec)
    walk.finish()
    assert walk.status.phase == "Succeeded"


def test_a_far_retry_of_responding_does_not_leave_judging_alone_with_the_gpus() -> None:
    """Judging of a server of its own would wait for answers that could never be written."""
    faults = Scripted({"respond-1": [Fate.FAIL] * 3}, work={"respond-1": 6, "judge-1": 6})
    walk = a_walk(faults, retry={"limit": 3, "backoffSeconds": 80, "maxBackoffSeconds": 90}, **JUDGED_BY_M1)
    walk.finish()
    assert walk.status.phase == "Succeeded"


def test_a_step_without_gpus_waits_for_nobody() -> None:
    moment: Scene = scene("pairs-1").served("m1").active("evaluate-m1", running_at=ago(9), outputs={}, finished_at=None)
    moment.child("evaluate-m1", ChildPhase.RUNNING)
    assert created(moment.decide()) == ["pairs-1"]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda s: s.server("m1", ChildPhase.READY, deleting=True), id="a server on its way out"),
        pytest.param(lambda s: s.child("sft", ChildPhase.RUNNING, deleting=True), id="a training on its way out"),
        pytest.param(lambda s: s.child("dpo-1", ChildPhase.FAILED, name="run-dpo-1-a0"), id="its own last attempt"),
    ],
)
def test_training_waits_for_free_gpus(other: Any) -> None:
    moment = other(scene("dpo-1"))
    decision = moment.decide()
    assert row(decision, "dpo-1").state is StepState.WAITING
    moment.children.clear()
    assert created(moment.decide()) == ["dpo-1"]
