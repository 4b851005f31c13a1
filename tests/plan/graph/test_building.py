"""The graph: which steps a spec asks for, what they read, what they wait for, who serves them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan.graph.shapes import ALIGNED, ENDPOINT, OTHER_JUDGE, ROUND, nodes
from plan.runs import DATA, a_run
from selfreward.plan import ChildKind, build_graph, has_seed, model_artifact


@pytest.mark.parametrize(
    ("spec", "before"),
    [
        pytest.param(
            {}, ["import", "sft-baseline", "eft", "sft", "evaluate-sft-baseline", "evaluate-m1"], id="the paper"
        ),
        pytest.param({"eft": {"mode": "direct"}}, ["import", "eft", "sft", "evaluate-m1"], id="direct"),
        pytest.param(
            {"eft": {"mode": "given"}, "seedData": {"instructions": DATA, "eft": DATA}, "prompts": {"source": DATA}},
            ["import", "eft", "sft", "evaluate-m1"],
            id="given",
        ),
        pytest.param(
            {"seedData": {"instructions": DATA, "eft": DATA}, "prompts": {"source": DATA}},
            ["import", "eft", "sft", "evaluate-m1"],
            id="filtered, but nothing to filter",
        ),
        pytest.param(
            {"seedData": {"instructions": DATA}, "prompts": {"source": DATA}},
            ["import", "sft", "evaluate-m1"],
            id="instructions and prompts: no eft",
        ),
        pytest.param(ALIGNED, ["import", "evaluate-m1"], id="an aligned base: no fine-tuning"),
    ],
)
def test_the_way_to_m1(spec: dict[str, Any], before: list[str]) -> None:
    assert list(nodes(**spec)) == [*before, *ROUND, "evaluate-m2"]


def test_the_papers_graph_in_full() -> None:
    """Row by row: inputs, what it waits for, and whose server it needs."""
    graph = nodes(iterations=2)
    told = {key: (dict(node.inputs), node.after, node.after_first_shard, node.serving) for key, node in graph.items()}
    prompts, responses, judgements, pairs = (
        f"iteration-2/{name}" for name in ("prompts", "responses", "judgements", "pairs")
    )
    base, m2 = {"model": "m0", "seed": "seed"}, {"model": "m2"}
    expected = {
        "import": ({}, (), (), None),
        "sft-baseline": (base, ("import",), (), None),
        "eft": ({"seed": "seed", "model": "sft-baseline"}, ("import", "sft-baseline"), (), "sft-baseline"),
        "sft": (base | {"eft": "eft"}, ("import", "eft"), (), None),
        "evaluate-sft-baseline": (
            {"eft": "eft", "model": "sft-baseline"},
            ("eft", "sft-baseline"),
            (),
            "sft-baseline",
        ),
        "evaluate-m1": (
            {"eft": "eft", "model": "m1", "baseline": "evaluation/sft-baseline"},
            ("eft", "sft", "evaluate-sft-baseline"),
            (),
            "m1",
        ),
        "evaluate-m2": (
            {"eft": "eft", "model": "m2", "against": "evaluation/m1"},
            ("eft", "dpo-1", "evaluate-m1"),
            (),
            "m2",
        ),
        "prompts-2": (
            {"seed": "seed", **m2, "prompts-1": "iteration-1/prompts"},
            ("import", "dpo-1", "prompts-1"),
            (),
            "m2",
        ),
        "respond-2": ({"prompts": prompts, **m2}, ("prompts-2", "dpo-1"), (), "m2"),
        "judge-2": ({"responses": responses, **m2}, ("dpo-1",), ("respond-2",), "m2"),
        "pairs-2": (
            {"prompts": prompts, "responses": responses, "judgements": judgements},
            ("prompts-2", "respond-2", "judge-2"),
            (),
            None,
        ),
        "dpo-2": ({**m2, "reference": "m2", "pairs": pairs}, ("dpo-1", "pairs-2"), (), None),
    }
    assert {key: told[key] for key in expected} == expected


def test_what_steps_commit() -> None:
    graph = nodes(judge=OTHER_JUDGE)
    assert {key: node.outputs for key, node in graph.items()} == {
        "import": ("seed", "m0", "judge-model"),
        "sft-baseline": ("sft-baseline",),
        "eft": ("eft",),
        "sft": ("m1",),
        "evaluate-sft-baseline": ("evaluation/sft-baseline",),
        "evaluate-m1": ("evaluation/m1",),
        "prompts-1": ("iteration-1/prompts",),
        "respond-1": ("iteration-1/responses",),
        "judge-1": ("iteration-1/judgements",),
        "pairs-1": ("iteration-1/pairs",),
        "dpo-1": ("m2",),
        "evaluate-m2": ("evaluation/m2",),
    }


def test_workloads() -> None:
    graph = nodes(serving={"generationShards": 7})
    kinds = {key: (node.kind, node.shards) for key, node in graph.items()}
    job, training, indexed = (ChildKind.JOB, None), (ChildKind.TRAINING, None), (ChildKind.INDEXED_JOB, 7)
    assert [key for key, kind in kinds.items() if kind == training] == ["sft-baseline", "sft", "dpo-1"]
    assert [key for key, kind in kinds.items() if kind == indexed] == ["respond-1", "judge-1"]
    assert {kind for kind in kinds.values()} == {job, training, indexed}
    assert {key for key, node in graph.items() if not node.needs_gpus} == {"import", "pairs-1"}


@pytest.mark.parametrize(
    ("judge", "servings", "beside"),
    [
        pytest.param({"model": "self"}, ["m1", "m2", "m3"], True, id="self"),
        pytest.param({"model": "previous"}, ["m1", "m1", "m2"], False, id="previous"),
        pytest.param({"model": "initial"}, ["m1", "m1", "m1"], False, id="initial"),
        pytest.param(OTHER_JUDGE, ["judge-model"] * 3, False, id="another model"),
        pytest.param(ENDPOINT, [None] * 3, True, id="an outside endpoint"),
    ],
)
def test_the_judge(judge: dict[str, Any], servings: list[str | None], beside: bool) -> None:
    """A judge on a server of its own comes after responding: two servers take turns."""
    graph = nodes(judge=judge, iterations=3)
    judges = [graph[f"judge-{iteration}"] for iteration in (1, 2, 3)]
    assert [node.serving for node in judges] == servings
    assert [node.inputs.get("model") for node in judges] == servings
    assert judges[2].after_first_shard == (("respond-3",) if beside else ())
    assert ("respond-3" in judges[2].after) is not beside


@pytest.mark.parametrize(
    ("generator", "serving"),
    [
        pytest.param("self", "m2", id="self"),
        pytest.param("initial", "m1", id="initial"),
        pytest.param("file", None, id="file"),
    ],
)
def test_the_prompt_generator(generator: str, serving: str | None) -> None:
    node = nodes(prompts={"generator": generator, "source": DATA}, iterations=2)["prompts-2"]
    assert node.serving == serving
    assert node.inputs.get("model") == serving
    assert "dpo-1" in node.after, "an iteration starts with its model"


@pytest.mark.parametrize(
    ("reference", "artifact"),
    [pytest.param("previous", "m2", id="previous"), pytest.param("initial", "m1", id="initial")],
)
def test_the_reference_model(reference: str, artifact: str) -> None:
    graph = nodes(training={"dpo": {"referenceModel": reference}}, iterations=2)
    assert graph["dpo-2"].inputs["reference"] == artifact


@pytest.mark.parametrize(
    ("judge", "serving", "beside"),
    [
        pytest.param({"model": "self"}, "m2", False, id="self: after M1 has answered, on a server of its own"),
        pytest.param({"model": "initial"}, "m1", True, id="M1 judges what M1 answers, beside it"),
        pytest.param(ENDPOINT, None, True, id="an outside endpoint"),
    ],
)
def test_anchored_answers_are_m1s_and_judged_like_the_candidates(
    judge: dict[str, Any], serving: str | None, beside: bool
) -> None:
    graph = nodes(iterations=2, judge=judge, preferences={"rejected": "anchored"})
    assert "respond-anchor-1" not in graph, "the first candidates are M1's own"
    anchors, judged = graph["respond-anchor-2"], graph["judge-anchor-2"]
    assert (anchors.serving, anchors.inputs["prompts"], anchors.output) == (
        "m1",
        "iteration-2/prompts",
        "iteration-2/anchors",
    )
    assert (judged.serving, judged.output) == (serving, "iteration-2/anchor-judgements")
    assert judged.serving == graph["judge-2"].serving
    assert judged.after_first_shard == (("respond-anchor-2",) if beside else ())
    assert {"respond-2", "judge-2", "respond-anchor-2", "judge-anchor-2"} <= set(graph["pairs-2"].after)
    assert graph["pairs-2"].inputs["anchor-judgements"] == "iteration-2/anchor-judgements"


@pytest.mark.parametrize(
    ("history", "earlier"),
    [
        pytest.param("iteration", {}, id="the paper"),
        pytest.param("all", {"pairs-1": "iteration-1/pairs", "pairs-2": "iteration-2/pairs"}, id="all so far"),
    ],
)
def test_the_pairs_that_dpo_learns_from(history: str, earlier: dict[str, str]) -> None:
    node = nodes(iterations=3, preferences={"history": history})["dpo-3"]
    assert dict(node.inputs) == {"model": "m3", "reference": "m3", "pairs": "iteration-3/pairs", **earlier}


def test_positive_only_fine_tunes_the_base_model_on_seed_data_and_perfect_answers() -> None:
    """The paper's ablation, by SFT's settings: no reference, nothing of the model that answered."""
    graph = nodes(iterations=2, preferences={"strategy": "positive-only"})
    assert [key for key in graph if key.startswith(("sft", "dpo"))] == ["sft-baseline", "sft", "sft-1", "sft-2"]
    node = graph["sft-2"]
    assert (node.step, node.iteration, node.kind, node.output) == ("sft", 2, ChildKind.TRAINING, "m3")
    assert dict(node.inputs) == {**graph["sft"].inputs, "pairs": "iteration-2/pairs"}
    every = nodes(iterations=2, preferences={"strategy": "positive-only", "history": "all"})["sft-2"]
    assert every.inputs["pairs-1"] == "iteration-1/pairs"
    aligned = nodes(**ALIGNED, preferences={"strategy": "positive-only"})["sft-1"]
    assert dict(aligned.inputs) == {"model": "m0", "pairs": "iteration-1/pairs"}


def test_a_judge_template_that_is_elsewhere_is_read_by_every_step_that_judges() -> None:
    custom = {"template": "custom", "customTemplate": {"configMapRef": {"name": "judge"}}}
    graph = nodes(judge=custom)
    assert "judge-template" in graph["import"].outputs
    readers = {key for key, node in graph.items() if node.inputs.get("template") == "judge-template"}
    assert readers == {"eft", "sft", "evaluate-sft-baseline", "evaluate-m1", "judge-1", "evaluate-m2"}
    inline = nodes(judge={**custom, "customTemplate": {"text": "{prompt} {response}"}})
    assert not any("template" in node.inputs for node in inline.values())


def test_an_aligned_base_is_m1() -> None:
    run = a_run(**ALIGNED, iterations=2)
    graph = nodes(**ALIGNED, iterations=2)
    assert [model_artifact(run.spec, number) for number in range(4)] == ["m0", "m0", "m2", "m3"]
    assert graph["respond-1"].serving == "m0"
    assert graph["evaluate-m1"].output == "evaluation/m1"
    assert dict(graph["evaluate-m1"].inputs) == {"seed": "seed", "model": "m0"}
    assert graph["dpo-1"].inputs["model"] == "m0"
    assert graph["dpo-1"].after == ("import", "pairs-1")


def test_without_any_data_there_is_no_seed() -> None:
    run = a_run(seedData={})
    assert not has_seed(run.spec)
    assert nodes(seedData={})["import"].outputs == ("m0",)
    assert dict(nodes(seedData={})["prompts-1"].inputs) == {"model": "m0"}


def test_an_unknown_step_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="dpo-7"):
        build_graph(a_run().spec).node("dpo-7")


specs = st.fixed_dictionaries(
    {
        "iterations": st.integers(1, 5),
        "seedData": st.sampled_from([{}, {"instructions": DATA}, {"instructions": DATA, "rankings": DATA}]),
        "eft": st.fixed_dictionaries({"mode": st.sampled_from(["filtered", "direct"])}),
        "judge": st.sampled_from(
            [{"model": name} for name in ("self", "previous", "initial")] + [OTHER_JUDGE, ENDPOINT]
        ),
        "prompts": st.fixed_dictionaries(
            {"generator": st.sampled_from(["self", "initial", "file"]), "source": st.just(DATA)}
        ),
        "evaluation": st.fixed_dictionaries(
            {
                "enabled": st.booleans(),
                "judge": st.sampled_from([{"model": "self"}, {"model": "initial"}, OTHER_JUDGE, ENDPOINT]),
                "source": st.sampled_from([None, DATA]),
            }
        ),
        "preferences": st.fixed_dictionaries(
            {
                "strategy": st.sampled_from(["best-worst", "positive-only"]),
                "rejected": st.just("current"),
                "history": st.sampled_from(["iteration", "all"]),
            }
        )
        | st.fixed_dictionaries(
            {"rejected": st.sampled_from(["current", "anchored"]), "history": st.sampled_from(["iteration", "all"])}
        ),
    }
)


@given(specs)
def test_every_graph_is_sound(spec: dict[str, Any]) -> None:
    """In order, closed, without duplicates; who talks to a server reads the model that is served."""
    graph = build_graph(a_run(**spec).spec)
    seen, committed = set[str](), set[str]()
    for node in graph.nodes:
        assert seen.issuperset(node.after)
        assert seen.issuperset(node.after_first_shard)
        assert committed.issuperset(node.inputs.values())
        assert node.serving is None or node.inputs["model"] == node.serving
        assert committed.isdisjoint(node.outputs)
        assert node.key not in seen
        seen.add(node.key)
        committed.update(node.outputs)
    assert model_artifact(a_run(**spec).spec, spec["iterations"] + 1) in committed
    assert build_graph(a_run(**spec).spec) == graph
