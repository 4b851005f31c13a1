"""Which artifacts are looked up before a decision."""

from __future__ import annotations

import pytest
from plan.scenes import scene
from selfreward.api import StepState
from selfreward.plan import artifacts_to_observe, build_graph


@pytest.mark.parametrize(
    ("before", "started", "asked"),
    [
        pytest.param("", [], {"seed", "m0"}, id="at the start"),
        pytest.param("sft-baseline", [], {"sft-baseline"}, id="the next step"),
        pytest.param("evaluate-m1", [], {"evaluation/m1", "iteration-1/prompts"}, id="two that could start"),
        pytest.param("respond-1", [], {"iteration-1/responses"}, id="judging waits for the first answers"),
        pytest.param(
            "respond-1", ["respond-1"], {"iteration-1/responses", "iteration-1/judgements"}, id="judging beside"
        ),
        pytest.param(
            "judge-1", ["pairs-1"], {"iteration-1/judgements", "iteration-1/pairs"}, id="started is asked for"
        ),
    ],
)
def test_artifacts_to_observe(before: str, started: list[str], asked: set[str]) -> None:
    moment = scene(before)
    for key in started:
        moment.active(key)
    graph = build_graph(moment.run.spec)
    found = artifacts_to_observe(graph, moment.run.status)
    assert set(found) == asked
    assert all(shards == (2 if name.endswith(("responses", "judgements")) else None) for name, shards in found.items())


def test_nothing_is_asked_for_when_all_is_done() -> None:
    moment = scene("nothing")
    assert {row.state for part in moment.run.status.iterations for row in part.steps} == {StepState.SUCCEEDED}
    assert artifacts_to_observe(build_graph(moment.run.spec), moment.run.status) == {}
