"""The whole walk in a simulated world: whatever goes wrong, it ends where the undisturbed walk ends.

Each walk checks invariants 1 to 5 after every beat, that the status is equal when nothing changed, and
that it decides again only when the world changes or the time comes that it asked to be woken at.
"""

from __future__ import annotations

import random
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan.faults import COUNTED, HARMLESS, SERVING_FATES, Fate, Scripted, Seeded
from plan.runs import RETRY, a_run, a_walk
from plan.walk import Walk, outputs
from selfreward.api import ConditionType, Reason, StepState, SuspendPolicy
from selfreward.plan import build_graph
from selfreward.plan.types import EventReason

KEYS = [node.key for node in build_graph(a_run().spec).nodes]
CHILDREN = len(KEYS) + 3
"""Of the undisturbed walk: a child a step, and the servers of the baseline, M1 and M2."""
WALKS = 25
"""Random walks in each of 12 tests, 300 in all."""


@cache
def undisturbed(iterations: int = 1) -> dict[str, str]:
    """What a walk without faults commits."""
    walk = a_walk(iterations=iterations)
    walk.finish()
    assert walk.status.phase == "Succeeded"
    return outputs(walk.status)


def test_the_undisturbed_walk() -> None:
    walk = a_walk()
    walk.finish()
    assert walk.world.created == [
        f"run-{name}-a1"
        for name in (
            "import",
            "sft-baseline",
            "serve-sft-baseline",
            "eft",
            "evaluate-sft-baseline",
            "sft",
            "serve-m1",
            "evaluate-m1",
            "prompts-1",
            "respond-1",
            "judge-1",
            "pairs-1",
            "dpo-1",
            "serve-m2",
            "evaluate-m2",
        )
    ]
    assert outputs(walk.status) == walk.world.committed
    assert {walk.row(key).attempt for key in KEYS} == {1}
    assert walk.condition(ConditionType.SUCCEEDED) == f"True/{Reason.COMPLETED}"
    assert all(walk.row(key).metrics for key in KEYS)
    told = [event.reason for event in walk.events]
    assert told.count(EventReason.STEP_STARTED) == told.count(EventReason.STEP_SUCCEEDED) == len(KEYS)
    assert told[-1] is EventReason.RUN_SUCCEEDED


def test_m1_is_served_once_more_for_its_anchored_answers() -> None:
    walk = a_walk(iterations=2, preferences={"rejected": "anchored", "history": "all"})
    walk.finish()
    assert walk.status.phase == "Succeeded"
    second = walk.world.created[walk.world.created.index("run-serve-m2-a1") :]
    names = [name.removeprefix("run-").rsplit("-", 1)[0] for name in second]
    assert [name for name in names if name.startswith(("serve", "respond", "judge", "pairs"))] == [
        *("serve-m2", "respond-2", "judge-2"),
        *("serve-m1", "respond-anchor-2"),
        *("serve-m2", "judge-anchor-2", "pairs-2", "serve-m3"),
    ]


def test_judging_runs_beside_responding() -> None:
    walk = a_walk(Scripted(work={"respond-1": 8, "judge-1": 8}))
    walk.until("judge-1=Running")
    assert walk.row("respond-1").state is StepState.RUNNING
    walk.finish()
    assert outputs(walk.status) == undisturbed()


@pytest.mark.parametrize(
    "fate", [fate for fate in Fate if fate not in (Fate.FAIL_PERMANENT, Fate.NEVER_READY, Fate.DIE)]
)
@pytest.mark.parametrize("key", KEYS)
def test_every_step_survives_every_fate(key: str, fate: Fate) -> None:
    walk = a_walk(Scripted({key: [fate]}))
    walk.finish()
    assert outputs(walk.status) == undisturbed()
    harmless = fate in (Fate.SUCCEED, *HARMLESS)
    assert walk.row(key).attempt == (1 if harmless else 2)
    assert walk.row(key).failures == int(fate in COUNTED)
    assert walk.row(key).infrastructure_failures == int(not harmless and fate not in COUNTED)


@pytest.mark.parametrize("fate", SERVING_FATES)
@pytest.mark.parametrize("model", ["sft-baseline", "m1", "m2"])
def test_every_server_survives_every_fate(model: str, fate: Fate) -> None:
    work = {"eft": 5, "respond-1": 5, "evaluate-m2": 5}
    walk = a_walk(Scripted({f"serve-{model}": [fate]}, work=work))
    walk.finish()
    assert outputs(walk.status) == undisturbed()
    assert f"run-serve-{model}-a2" in walk.world.created


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("fates", "reason"),
    [
        pytest.param([Fate.FAIL_PERMANENT], Reason.CONFIGURATION_ERROR, id="permanent"),
        pytest.param([Fate.FAIL] * 4, Reason.STEP_FAILED, id="fails"),
        pytest.param([Fate.HANG] * 4, Reason.NO_PROGRESS, id="hangs"),
        pytest.param([Fate.NO_COMMIT] * 4, Reason.NOT_COMMITTED, id="commits nothing"),
        pytest.param([Fate.NEVER_START] * 99, Reason.INFRASTRUCTURE_TIMEOUT, id="never starts"),
        pytest.param([Fate.LOST] * 99, Reason.INFRASTRUCTURE_TIMEOUT, id="is lost"),
        pytest.param([Fate.EVICTED] * 99, Reason.INFRASTRUCTURE_TIMEOUT, id="is evicted"),
    ],
)
def test_a_step_that_cannot_succeed_fails_the_run(key: str, fates: list[Fate], reason: Reason) -> None:
    walk = a_walk(Scripted({key: fates}, work={key: 1}), retry=RETRY | {"infrastructureSeconds": 300})
    walk.finish()
    assert walk.row(key).state is StepState.FAILED
    assert walk.condition(ConditionType.FAILED) == f"True/{reason}"
    assert walk.condition(ConditionType.STALLED) == f"True/{reason}"
    assert walk.condition(ConditionType.READY) == f"False/{reason}"
    assert outputs(walk.status).items() < undisturbed().items()


@pytest.mark.parametrize("fate", [Fate.FAIL_PERMANENT, *SERVING_FATES[:3]])
def test_a_server_that_cannot_come_up_fails_the_run(fate: Fate) -> None:
    walk = a_walk(Scripted({"serve-m1": [fate] * 99}))
    walk.finish()
    assert walk.condition(ConditionType.FAILED) == f"True/{Reason.SERVING_FAILED}"
    starts = 1 if fate is Fate.FAIL_PERMANENT else 4
    assert sum(name.startswith("run-serve-m1") for name in walk.world.created) == starts


def test_a_walker_killed_at_any_moment_ends_where_the_undisturbed_walk_ends() -> None:
    """Invariant 7: after the status write, and before, between and after the commands that follow it."""
    faults = Scripted()
    a_walk(faults).finish()
    for kill in range(faults.asked):
        walk = a_walk(Scripted(kills=frozenset({kill})))
        walk.finish()
        assert outputs(walk.status) == undisturbed(), f"killed at moment {kill}"
        assert len(walk.world.created) == CHILDREN
        assert {walk.row(key).attempt for key in KEYS} == {1}
    print(f"{faults.asked} moments to be killed at")
    assert faults.asked > 2 * CHILDREN


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.4])
@pytest.mark.parametrize("part", range(4))
def test_random_schedules(rate: float, part: int) -> None:
    """Faults of steps, servers, walker and observation, drawn from a seed; invariants 1 to 5 and 7."""
    children = 0
    for seed in range(part * WALKS, (part + 1) * WALKS):
        walk = a_walk(Seeded(seed, rate, RETRY["limit"]), retry=RETRY | {"infrastructureSeconds": 100_000})
        walk.finish()
        assert outputs(walk.status) == undisturbed(), f"seed {seed}"
        children += len(walk.world.created)
    print(f"{WALKS} walks with {rate:.0%} faults: {children} children")
    assert children > WALKS * CHILDREN, "faults must have happened"


def test_a_walker_that_dies_again_and_again_frees_its_gpus_once_it_lives() -> None:
    """In this schedule it was drawn to die in each of the eight beats after the run's end."""
    walk = a_walk(Seeded(243, 0.4, RETRY["limit"]), retry=RETRY | {"infrastructureSeconds": 100_000})
    walk.finish()
    assert outputs(walk.status) == undisturbed()


@settings(max_examples=60)
@given(st.randoms(use_true_random=False), st.sampled_from([0.0, 0.15]))
def test_users_may_suspend_resume_and_raise_at_any_moment(chance: random.Random, rate: float) -> None:
    walk = a_walk(Seeded(chance.randrange(10**6), rate, RETRY["limit"]))
    for _ in range(chance.randrange(1, 6)):
        for _ in range(chance.randrange(40)):
            walk.step()
        _meddle(walk, chance)
    walk.edit(suspend=False)
    walk.finish()
    if walk.run.spec.iterations < 2:
        walk.edit(iterations=2)
        walk.until("prompts-2=Running")
        walk.finish()
    assert walk.status.phase == "Succeeded"
    assert outputs(walk.status) == undisturbed(2)


def _meddle(walk: Walk, chance: random.Random) -> None:
    change: dict[str, Any] = chance.choice(
        [
            {"suspend": True, "suspend_policy": SuspendPolicy.IMMEDIATE},
            {"suspend": True, "suspend_policy": SuspendPolicy.STEP_BOUNDARY},
            {"suspend": False},
            {"iterations": 2},
        ]
    )
    walk.edit(**change)


def test_a_status_that_was_lost_is_found_again_from_the_store() -> None:
    """What is committed is taken up without running anything again."""
    first = a_walk()
    first.finish()
    again = Walk(a_run(), first.world)
    count = len(first.world.created)
    again.finish()
    assert outputs(again.status) == undisturbed()
    assert first.world.created[count:] == []
    assert again.status.phase == "Succeeded"


def test_a_walker_that_looks_in_twice_changes_nothing() -> None:
    walk = a_walk()
    walk.until("sft=Running")
    before = walk.status
    for _ in range(3):
        walk.world.now += timedelta(seconds=1)
        walk.is_stale = True
        walk.step()
    assert walk.row("sft").attempt == before.iterations[0].steps[3].attempt == 1
