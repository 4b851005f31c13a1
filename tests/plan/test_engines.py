"""Kept engines: one serves model after model, sleeps or stands aside while training runs, and whatever goes wrong on
the way, the run ends where it ends with a server for each model."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from plan.faults import SERVING_FATES, Fate, Faults, Scripted, Seeded
from plan.runs import RETRY, a_run
from plan.scenes import Scene, created, deleted, digest, scene, serving
from plan.walk import Walk, outputs
from plan.world import World
from selfreward.api import Keeping, ServingKeep, ServingState, StepState, SuspendPolicy
from selfreward.plan import AssignModel, ChildPhase

AWAKE, ASLEEP = Keeping.AWAKE, Keeping.ASLEEP
READY, STARTING = ServingState.READY, ServingState.STARTING
KEPT = pytest.mark.parametrize("keeping", [AWAKE, ASLEEP])


def a_walk(keeping: Keeping, faults: Faults | None = None, **spec: Any) -> Walk:
    """A walk where engines are kept."""
    return Walk(a_run(**spec), World(faults or Scripted(), keeping=keeping))


def engines(walk: Walk) -> list[str]:
    """Engines that were started."""
    return [name for name in walk.world.created if "-serve-" in name]


@cache
def undisturbed(iterations: int = 1) -> dict[str, str]:
    """What a walk with a server for each model commits."""
    walk = a_walk(Keeping.NEVER, iterations=iterations)
    walk.finish()
    return outputs(walk.status)


def kept(state: ServingState, phase: ChildPhase, keeping: Keeping = ASLEEP, before: str = "dpo-1") -> Scene:
    """M1's server as a kept engine, at the moment before a step."""
    return scene(before).serving("m1", state, keeping=keeping).server("m1", phase)


@pytest.mark.parametrize(
    ("keeping", "exchanges"),
    [
        (AWAKE, ["m1", "m2", "m3"]),
        (ASLEEP, ["sleep", "m1", "sleep", "m2", "sleep", "m3"]),
    ],
)
def test_one_engine_serves_every_model(keeping: Keeping, exchanges: list[str]) -> None:
    walk = a_walk(keeping, iterations=2)
    walk.finish()
    assert outputs(walk.status) == undisturbed(2)
    assert engines(walk) == ["run-serve-sft-baseline-a1"]
    assert walk.world.exchanges == exchanges
    assert walk.status.servings == []


def test_each_model_has_its_own_engine_where_the_spec_says_never() -> None:
    walk = a_walk(ASLEEP)
    walk.edit(serving=walk.run.spec.serving.model_copy(update={"keep": ServingKeep.NEVER}))
    walk.finish()
    assert engines(walk) == ["run-serve-sft-baseline-a1", "run-serve-m1-a1", "run-serve-m2-a1"]
    assert walk.world.exchanges == []


@KEPT
def test_a_walker_killed_at_any_moment_ends_where_the_undisturbed_walk_ends(keeping: Keeping) -> None:
    faults = Scripted()
    a_walk(keeping, faults).finish()
    for kill in range(faults.asked):
        walk = a_walk(keeping, Scripted(kills=frozenset({kill})))
        walk.finish()
        assert outputs(walk.status) == undisturbed(), f"killed at moment {kill}"
        assert len(engines(walk)) == 1, f"killed at moment {kill}"


@KEPT
@pytest.mark.parametrize("fate", SERVING_FATES)
@pytest.mark.parametrize("model", ["m1", "m2"])
def test_an_engine_that_fails_at_its_exchange_is_replaced(keeping: Keeping, fate: Fate, model: str) -> None:
    walk = a_walk(keeping, Scripted({f"exchange-{model}": [fate]}))
    walk.finish()
    assert outputs(walk.status) == undisturbed()
    assert walk.status.phase == "Succeeded"
    if fate is not Fate.NEVER_START:  # an engine that runs has started
        assert len(engines(walk)) == 2


@KEPT
def test_an_exchange_that_always_fails_costs_a_start_and_no_run(keeping: Keeping) -> None:
    walk = a_walk(keeping, Scripted({f"exchange-{model}": [Fate.FAIL] * 9 for model in ("m1", "m2")}))
    walk.finish()
    assert outputs(walk.status) == undisturbed()
    assert engines(walk) == ["run-serve-sft-baseline-a1", "run-serve-m1-a2", "run-serve-m2-a3"]


@KEPT
@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_random_schedules(keeping: Keeping, rate: float) -> None:
    exchanges = 0
    for seed in range(15):
        faults = Seeded(seed, rate, RETRY["limit"])
        walk = a_walk(keeping, faults, retry=RETRY | {"infrastructureSeconds": 100_000})
        walk.finish()
        assert outputs(walk.status) == undisturbed(), f"seed {seed}"
        exchanges += len(walk.world.exchanges)
    assert exchanges > 15, "engines must have been exchanged"


@KEPT
@pytest.mark.parametrize("policy", list(SuspendPolicy))
@pytest.mark.parametrize("moment", ["sft=Running", "respond-1=Running", "dpo-1=Running"])
def test_a_suspended_run_keeps_no_engine(keeping: Keeping, policy: SuspendPolicy, moment: str) -> None:
    walk = a_walk(keeping)
    walk.until(moment)
    walk.edit(suspend=True, suspend_policy=policy)
    walk.until("suspended")
    walk.until("quiet")
    assert not any("-serve-" in name for name in walk.world.children)
    walk.edit(suspend=False)
    walk.finish()
    assert outputs(walk.status) == undisturbed()


@KEPT
def test_an_iteration_that_waits_for_approval_keeps_no_engine(keeping: Keeping) -> None:
    moment = scene("prompts-2", iterations=2, schedule={"approval": True})
    decision = moment.serving("m2", READY, keeping=keeping).server("m2", ChildPhase.READY).decide()
    assert deleted(decision) == ["run-serve-m2-a1"]


def test_training_waits_until_the_engine_sleeps() -> None:
    moment = kept(READY, ChildPhase.READY)
    decision = moment.decide()
    assert decision.assign == (AssignModel("run-serve-m1-a1", "uid-m1", None),)
    assert (created(decision), deleted(decision)) == ([], [])
    moment.accept(decision)
    again = moment.decide()
    assert (again.assign, created(again)) == (decision.assign, []), "told until it is seen to sleep"
    moment.children.clear()
    decision = moment.server("m1", ChildPhase.ASLEEP).decide()
    assert (created(decision), decision.assign) == (["dpo-1"], ())


def test_training_does_not_wait_for_an_engine_on_gpus_of_its_own() -> None:
    decision = kept(READY, ChildPhase.READY, AWAKE).decide()
    assert (created(decision), decision.assign, deleted(decision)) == (["dpo-1"], (), [])


@pytest.mark.parametrize(
    ("keeping", "state", "phase"),
    [(ASLEEP, ServingState.ASLEEP, ChildPhase.ASLEEP), (AWAKE, READY, ChildPhase.READY)],
)
def test_the_next_model_is_given_to_the_engine(keeping: Keeping, state: ServingState, phase: ChildPhase) -> None:
    moment = scene("evaluate-m2").serving("m1", state, keeping=keeping).server("m1", phase)
    (engine,) = moment.children
    decision = moment.decide()
    assert decision.assign == (AssignModel("run-serve-m1-a1", "uid-m1", "m2", 1, digest("m2")),)
    assert (created(decision), deleted(decision), serving(decision, "m1")) == ([], [], None)
    moment.accept(decision)
    assert created(moment.decide()) == [], "the engine answers, and with M1"
    moment.children = [replace(engine, model="m2", phase=ChildPhase.RUNNING)]
    assert created(moment.decide()) == []
    moment.children = [replace(engine, model="m2", phase=ChildPhase.READY)]
    assert created(moment.decide()) == ["evaluate-m2"]


def test_an_engine_does_not_wake_beside_a_training_that_lingers() -> None:
    moment = scene("evaluate-m2").serving("m1", ServingState.ASLEEP, keeping=ASLEEP).server("m1", ChildPhase.ASLEEP)
    moment.child("dpo-1", ChildPhase.RUNNING)
    decision = moment.decide()
    assert (decision.assign, deleted(decision)) == ((), ["run-dpo-1-a1"])


def test_an_engine_whose_spec_has_changed_is_not_kept() -> None:
    moment = scene("dpo-1").serving("m1", READY, keeping=AWAKE)
    decision = moment.server("m1", ChildPhase.READY, outdated=True).decide()
    assert deleted(decision) == ["run-serve-m1-a1"]


def test_an_engine_that_does_not_fall_asleep_is_replaced() -> None:
    moment = kept(READY, ChildPhase.READY)
    moment.accept(moment.decide()).later(101)
    decision = moment.decide()
    assert deleted(decision) == ["run-serve-m1-a1"]
    assert decision.status.servings == [] or decision.status.servings[0].state is ServingState.STOPPING


def test_an_engine_that_dies_asleep_holds_up_nothing() -> None:
    moment = kept(ServingState.ASLEEP, ChildPhase.FAILED)
    moment.active("dpo-1").child("dpo-1", ChildPhase.RUNNING)
    decision = moment.decide()
    assert deleted(decision) == ["run-serve-m1-a1"]
    row = next(row for part in decision.status.iterations for row in part.steps if row.key == "dpo-1")
    assert row.state is StepState.RUNNING
