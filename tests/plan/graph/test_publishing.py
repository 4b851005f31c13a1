"""The pushes to a hub in a graph: what is pushed, once its evaluation has said what it is worth."""

from __future__ import annotations

from typing import Any

import pytest
from plan.faults import Scripted
from plan.graph.shapes import ALIGNED, nodes
from plan.runs import a_walk
from plan.scenes import created, scene
from selfreward.api import StepState
from selfreward_steps.contract import Publishing

PUBLISH: dict[str, Any] = {"repository": "team/run", "tokenSecretRef": {"name": "hub"}}


def pushed(**spec: Any) -> dict[str, dict[str, str]]:
    """What each push reads, by its key."""
    return {key: dict(node.inputs) for key, node in nodes(**spec).items() if node.step == "publish"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, {}, id="unasked"),
        pytest.param(
            {"publish": PUBLISH, "iterations": 2},
            {
                "publish-m1": {"model": "m1"},
                "publish-m2": {"model": "m2", "pairs": "iteration-1/pairs"},
                "publish-m3": {"model": "m3", "pairs": "iteration-2/pairs"},
            },
            id="both",
        ),
        pytest.param(
            {"publish": {**PUBLISH, "models": False}, "iterations": 2},
            {"publish-m2": {"pairs": "iteration-1/pairs"}, "publish-m3": {"pairs": "iteration-2/pairs"}},
            id="pairs alone",
        ),
        pytest.param(
            {"publish": {**PUBLISH, "pairs": False}, **ALIGNED, "iterations": 1},
            {"publish-m2": {"model": "m2"}},
            id="models alone, of which the first is somebody else's",
        ),
    ],
)
def test_what_is_pushed(spec: dict[str, Any], expected: dict[str, dict[str, str]]) -> None:
    assert pushed(**spec) == expected


def test_a_push_waits_for_the_evaluation_and_nothing_waits_for_it() -> None:
    graph = nodes(publish=PUBLISH)
    assert set(graph["publish-m2"].after) == {"dpo-1", "pairs-1", "evaluate-m2"}
    assert not any(key.startswith("publish") for node in graph.values() for key in node.after)
    assert (graph["publish-m2"].iteration, graph["publish-m2"].needs_gpus) == (1, False)


def test_pairs_wait_for_the_evaluation_of_what_learnt_from_them() -> None:
    graph = nodes(publish={**PUBLISH, "models": False}, evaluation={"enabled": False})
    assert set(graph["publish-m2"].after) == {"pairs-1", "dpo-1"}


@pytest.mark.parametrize(("action", "pushes"), [("warn", ["publish-m2"]), ("pause", []), ("stop", [])])
def test_a_model_that_a_gate_holds_is_not_pushed(action: str, pushes: list[str]) -> None:
    numbers = {"judge_pairwise_accuracy": 0.1, "judge_pairwise_accuracy_longest_wins": 0.6}
    moment = scene("publish-m2", publish=PUBLISH, iterations=1, gates={"judgeAccuracy": {"action": action}})
    moment.put("evaluate-m2", metrics=numbers)
    assert created(moment.decide()) == pushes


def test_a_finished_run_that_is_given_a_hub_pushes_what_it_has() -> None:
    walk = a_walk(Scripted({}), iterations=1)
    walk.finish()
    walk.edit(publish=Publishing.model_validate(PUBLISH))
    walk.finish()
    assert [row.key for part in walk.status.iterations for row in part.steps if row.step == "publish"] == [
        "publish-m1",
        "publish-m2",
    ]
    assert walk.status.phase == "Succeeded"
    assert all(walk.row(key).state is StepState.SUCCEEDED for key in ("publish-m1", "publish-m2"))
    assert walk.row("dpo-1").attempt == 1, "nothing is made anew"
