"""GPU-seconds: what a step holds, and a server's shared among those that use it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from selfreward.api import SelfRewardRunSpec, StepStatus
from selfreward.plan import build_graph
from selfreward.report import cost
from selfreward.report.cost import Span

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def spec(**fields: Any) -> SelfRewardRunSpec:
    data = {name: {"uri": f"s3://d/{name}.jsonl"} for name in ("instructions", "rankings")}
    return SelfRewardRunSpec.model_validate({"model": {"uri": "hf://a/b"}, "iterations": 1, "seedData": data, **fields})


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        pytest.param({"a": (0, 10)}, {"a": 10}, id="alone"),
        pytest.param({"a": (0, 10), "b": (10, 15)}, {"a": 10, "b": 5}, id="one after the other"),
        pytest.param({"a": (0, 10), "b": (0, 10)}, {"a": 5, "b": 5}, id="together"),
        pytest.param({"a": (0, 10), "b": (4, 12)}, {"a": 7, "b": 5}, id="partly together"),
        pytest.param({"a": (0, 9), "b": (0, 9), "c": (6, 9)}, {"a": 4, "b": 4, "c": 1}, id="three"),
        pytest.param({"a": (5, 5), "b": (0, 9)}, {"a": 0, "b": 9}, id="no time at all"),
        pytest.param({}, {}, id="none"),
    ],
)
def test_a_server_is_shared_evenly(spans: dict[str, tuple[float, float]], expected: dict[str, float]) -> None:
    found = cost.shares({key: Span(at(start), at(end)) for key, (start, end) in spans.items()})
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({}, {"import": 0, "dpo-1": 10, "respond-1": 10, "pairs-1": 0}, id="defaults"),
        pytest.param(
            {"training": {"nodes": 2, "processesPerNode": 4}, "serving": {"replicas": 3, "tensorParallel": 2}},
            {"dpo-1": 80, "respond-1": 60},
            id="several nodes, replicas and GPUs a model",
        ),
        pytest.param(
            {"workloads": {"training": {"resources": {"limits": {"amd.com/gpu": "8", "cpu": "64"}}}}},
            {"dpo-1": 80},
            id="what the resources name",
        ),
        pytest.param(
            {"workloads": {"serving": {"resources": {"requests": {"cpu": "4"}}}}},
            {"respond-1": 10},
            id="a request without a GPU drops none",
        ),
        pytest.param(
            {"workloads": {"serving": {"resources": {"limits": {"nvidia.com/gpu": "0"}}}}},
            {"respond-1": 0},
            id="a server on processors",
        ),
    ],
)
def test_gpus_of_a_step(fields: dict[str, Any], expected: dict[str, float]) -> None:
    made = spec(**fields)
    graph = build_graph(made)
    spans = {node.key: Span(at(10 * place), at(10 * place + 10)) for place, node in enumerate(graph.nodes)}
    found = cost.gpu_seconds(made, graph, spans)
    assert {key: found[key] for key in expected} == expected


def test_the_sum_is_the_time_a_server_was_in_use() -> None:
    made = spec()
    spans = {"respond-1": Span(at(0), at(60)), "judge-1": Span(at(20), at(80)), "evaluate-m1": Span(at(0), at(30))}
    assert sum(cost.gpu_seconds(made, build_graph(made), spans).values()) == pytest.approx(80)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        pytest.param(
            {"state": "Succeeded", "startedAt": at(0), "runningAt": at(5), "finishedAt": at(20)}, 15, id="done"
        ),
        pytest.param({"state": "Running", "startedAt": at(0)}, 30, id="so far"),
        pytest.param({"state": "Waiting", "startedAt": at(0)}, None, id="waiting for another attempt"),
        pytest.param({"state": "Waiting"}, None, id="not begun"),
    ],
)
def test_the_time_of_a_step(fields: dict[str, Any], seconds: float | None) -> None:
    found = cost.span(StepStatus.model_validate({"key": "dpo-1", "step": "dpo", **fields}), at(30))
    assert (None if found is None else found.seconds) == seconds
