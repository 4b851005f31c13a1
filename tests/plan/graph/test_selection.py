"""The choice among checkpoints in the graph: who answers, who judges, and a walk with one server after another."""

from __future__ import annotations

from typing import Any

import pytest
from plan.graph.shapes import ENDPOINT, nodes
from plan.runs import a_walk
from selfreward.api import Phase

TWO: dict[str, Any] = {"dpo": {"selection": {"checkpoints": 2, "prompts": 5}}}


def test_a_training_commits_what_is_chosen_from() -> None:
    graph = nodes(training=TWO)
    assert graph["prompts-1"].outputs == ("iteration-1/prompts", "iteration-1/validation")
    assert graph["dpo-1"].outputs == ("m2-checkpoint-2", "m2-checkpoint-1")
    answers = [graph[f"respond-m2-checkpoint-{number}"] for number in (1, 2)]
    assert [node.serving for node in answers] == ["m2-checkpoint-1", "m2-checkpoint-2"]
    assert {node.inputs["prompts"] for node in answers} == {"iteration-1/validation"}
    assert graph["select-1"].outputs == ("m2",)
    assert set(graph["select-1"].after) == {"dpo-1", "sft", *(node.key for node in answers)}
    assert graph["evaluate-m2"].after[-2:] == ("select-1", "evaluate-m1")


@pytest.mark.parametrize(
    ("judge", "serving"),
    [
        pytest.param({}, "m1", id="the model that the round starts from"),
        pytest.param(ENDPOINT, None, id="an outside endpoint"),
    ],
)
def test_the_rounds_judge_chooses(judge: dict[str, Any], serving: str | None) -> None:
    assert nodes(training=TWO, judge=judge)["select-1"].serving == serving


def test_without_the_option_there_is_nothing_of_it() -> None:
    graph = nodes()
    assert not [key for key in graph if "select" in key or "checkpoint" in key]
    assert (graph["prompts-1"].also_commits, graph["dpo-1"].outputs) == ((), ("m2",))


def test_checkpoints_are_served_one_after_the_other() -> None:
    walk = a_walk(training=TWO, iterations=2)
    walk.finish()
    assert walk.status.phase is Phase.SUCCEEDED
    served = list(dict.fromkeys(each.model for status in walk.history for each in status.servings))
    first = served.index("m2-checkpoint-1")
    assert served[first : first + 2] == ["m2-checkpoint-1", "m2-checkpoint-2"]
    assert {len(status.servings) for status in walk.history} <= {0, 1, 2}
    assert walk.row("select-2").outputs.keys() == {"m3"}
