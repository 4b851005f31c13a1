"""The evaluation's part of the graph: when there is one, what it compares, and whose server it asks."""

from __future__ import annotations

from typing import Any

import pytest
from plan.graph.shapes import ENDPOINT, OTHER_JUDGE, nodes
from plan.runs import DATA


@pytest.mark.parametrize(
    ("spec", "evaluated"),
    [
        pytest.param({}, True, id="wins and judge accuracy"),
        pytest.param({"evaluation": {"enabled": False}}, False, id="switched off"),
        pytest.param({"evaluation": {"prompts": 0}}, True, id="judge accuracy alone"),
        pytest.param({"evaluation": {"prompts": 0}, "eft": {"testFraction": 0}}, False, id="no test set, no prompts"),
        pytest.param(
            {"seedData": {"instructions": DATA}, "prompts": {"source": DATA}}, True, id="the user's prompts: wins alone"
        ),
        pytest.param(
            {"seedData": {"instructions": DATA}, "prompts": {"source": DATA, "generator": "file"}},
            False,
            id="prompts that iterations train on are not held out",
        ),
        pytest.param({"seedData": {}, "evaluation": {"source": DATA}}, True, id="prompts for evaluation"),
        pytest.param({"seedData": {}, "evaluation": {"safetyPrompts": DATA}}, True, id="safety alone"),
        pytest.param({"seedData": {}, "evaluation": {"lmEval": {"tasks": ["arc_easy"]}}}, True, id="lm-eval alone"),
        pytest.param({"seedData": {"instructions": DATA}}, False, id="no rankings, no prompts"),
        pytest.param({"seedData": {}}, False, id="nothing held out"),
    ],
)
def test_evaluation_is_there_when_there_is_something_to_measure(spec: dict[str, Any], evaluated: bool) -> None:
    assert [key for key in nodes(**spec) if key.startswith("evaluate-m")] == (
        ["evaluate-m1", "evaluate-m2"] if evaluated else []
    )


def test_later_models_are_compared_with_the_first_and_the_one_before() -> None:
    graph = nodes(iterations=3)
    others = {key: dict(graph[key].inputs) for key in ("evaluate-m2", "evaluate-m3", "evaluate-m4")}
    assert [inputs.get("against") for inputs in others.values()] == ["evaluation/m1"] * 3
    assert [inputs.get("previous") for inputs in others.values()] == [None, "evaluation/m2", "evaluation/m3"]


@pytest.mark.parametrize(
    ("judge", "serving", "model"),
    [
        pytest.param({"model": "initial"}, "m1", "m1", id="M1"),
        pytest.param({"model": "previous"}, "m2", "m2", id="the model before"),
        pytest.param(OTHER_JUDGE, "evaluation-judge", "evaluation-judge", id="another model"),
        pytest.param(ENDPOINT, None, None, id="an outside endpoint"),
    ],
)
def test_another_judge_compares_in_a_step_of_its_own(
    judge: dict[str, Any], serving: str | None, model: str | None
) -> None:
    graph = nodes(iterations=2, evaluation={"judge": judge})
    first, second = graph["answer-m3"], graph["evaluate-m3"]
    assert (first.serving, first.output, dict(first.inputs)) == ("m3", "answers/m3", {"eft": "eft", "model": "m3"})
    assert (second.serving, second.inputs.get("model")) == (serving, model)
    assert second.inputs["measured"] == "answers/m3"
    assert second.inputs["against"] == "evaluation/m1"
    assert second.output == "evaluation/m3"
    assert ("answer-m1" in graph) is (serving not in ("m1", "m2")), "M1 is compared with the baseline, by itself or not"
    direct = nodes(evaluation={"judge": judge}, eft={"mode": "direct"})
    assert "answer-m1" not in direct, "M1 has nobody to be compared with"
    assert direct["evaluate-m1"].serving == "m1"


@pytest.mark.parametrize(
    ("spec", "evaluated"),
    [
        pytest.param({}, True, id="the paper"),
        pytest.param({"eft": {"mode": "direct"}}, False, id="no baseline is trained"),
        pytest.param({"evaluation": {"enabled": False}}, False, id="switched off"),
        pytest.param(
            {"eft": {"testFraction": 0}, "evaluation": {"lmEval": {"tasks": ["arc_easy"]}}}, False, id="lm-eval alone"
        ),
    ],
)
def test_m1_is_compared_with_the_sft_baseline_where_there_is_one(spec: dict[str, Any], evaluated: bool) -> None:
    graph = nodes(**spec)
    assert ("evaluate-sft-baseline" in graph) is evaluated
    readers = [key for key, node in graph.items() if node.inputs.get("baseline") == "evaluation/sft-baseline"]
    assert readers == (["evaluate-m1"] if evaluated else [])
    assert "evaluate-sft-baseline" not in graph["sft"].after


@pytest.mark.parametrize(
    ("spec", "roles"),
    [
        pytest.param({}, {}, id="held out of the run's own data, which differ by themselves"),
        pytest.param({"prompts": {"source": DATA}}, {}, id="held-out prompts, that written ones are kept away from"),
        pytest.param(
            {"prompts": {"source": DATA, "generator": "file"}},
            {"prompts-1": "iteration-1/prompts", "prompts-2": "iteration-2/prompts"},
            id="prompts from a file may be those that the judge is tested on",
        ),
        pytest.param(
            {"evaluation": {"source": DATA}},
            {"seen": "seed", "prompts-1": "iteration-1/prompts", "prompts-2": "iteration-2/prompts"},
            id="what the user brings may be anything",
        ),
        pytest.param(
            {"seedData": {}, "evaluation": {"mtBench": DATA}, "prompts": {"source": DATA, "generator": "file"}},
            {"seen": "seed", "prompts-1": "iteration-1/prompts", "prompts-2": "iteration-2/prompts"},
            id="prompts alone",
        ),
    ],
)
def test_an_evaluation_knows_what_its_model_has_seen(spec: dict[str, Any], roles: dict[str, str]) -> None:
    graph = nodes(iterations=3, **spec)
    inputs = graph["evaluate-m3"].inputs
    assert {role: each for role, each in inputs.items() if role == "seen" or role.startswith("prompts-")} == roles
    assert "prompts-3" not in graph["evaluate-m3"].after, "nor waits for what is made after it"
    first = {role for role in graph["evaluate-m1"].inputs if role.startswith("prompts-")}
    assert not first, "M1 has learnt from no round"


def test_what_the_user_brings_to_the_evaluation_is_imported_by_itself() -> None:
    own = {name: DATA for name in ("source", "outside", "mtBench", "safetyPrompts")}
    graph = nodes(evaluation={**own, "judge": OTHER_JUDGE})
    node = graph["import-evaluation"]
    assert (node.outputs, node.after) == (("evaluation-data", "evaluation-judge"), ())
    assert graph["answer-m1"].inputs["data"] == graph["evaluate-m1"].inputs["data"] == "evaluation-data"
    assert "import-evaluation" not in nodes(evaluation={**own, "enabled": False})
