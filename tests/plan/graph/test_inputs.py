"""Pinned inputs: which digests a step is given, and when it can be given none."""

from __future__ import annotations

from plan.graph.shapes import nodes
from plan.runs import a_run
from plan.scenes import digest, scene
from selfreward.plan import build_graph
from selfreward.plan.graph import committed_digests, paired_inputs, pinned_inputs
from selfreward_steps.contract import InputRef


def test_a_step_is_given_nothing_while_an_input_is_missing() -> None:
    graph = build_graph(a_run().spec)
    node, digests = graph.node("sft-baseline"), {"m0": digest("m0")}
    assert pinned_inputs(graph, node, digests) is None
    assert pinned_inputs(graph, node, {**digests, "seed": digest("seed")}) == {
        "model": InputRef(artifact="m0", digest=digest("m0")),
        "seed": InputRef(artifact="seed", digest=digest("seed")),
    }


def test_shards_that_pair_up_are_not_waited_for() -> None:
    graph = build_graph(a_run().spec)
    found = pinned_inputs(graph, graph.node("judge-1"), {"m1": digest("m1")})
    shards = graph.node("judge-1").shards
    assert found is not None
    assert found["responses"] == InputRef(artifact="iteration-1/responses", shards=shards)
    assert paired_inputs(graph, graph.node("judge-1")) == ["iteration-1/responses"]
    assert paired_inputs(graph, graph.node("pairs-1")) == [], "one pod reads all shards"


def test_only_what_succeeded_counts_as_committed() -> None:
    status = scene("eft").active("eft").run.status
    rows = [row for iteration in status.iterations for row in iteration.steps]
    assert committed_digests(rows).keys() == {"seed", "m0", "sft-baseline"}


def test_every_artifact_has_one_producer() -> None:
    graph = build_graph(a_run(iterations=2).spec)
    assert {artifact: node.key for artifact, node in graph.producers.items()} == {
        artifact: key for key, node in nodes(iterations=2).items() for artifact in node.outputs
    }
