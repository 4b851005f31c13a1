"""What Prometheus is told of runs: whole numbers of what happened, and no label that grows with the users."""

from __future__ import annotations

import platform
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import selfreward
from prometheus_client import generate_latest
from render.cases import run_of
from selfreward.api import IterationStatus, Phase, Reason, RunStatus, SelfRewardRun, StepStatus
from selfreward.control.metrics import Metrics
from selfreward.plan import Obstacle, build_graph, stalled_status
from selfreward_steps.contract import FailureClass, StepName

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LABELS = {
    "phase": set(Phase),
    "step": set(StepName),
    "failure_class": set(FailureClass),
    "workload": {*StepName, "serving"},
    "outcome": {"done", "conflict", "unavailable", "refused", "error"},
    "le": None,
    "version": {selfreward.__version__},
    "python_version": {platform.python_version()},
}


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def a_row(key: str = "dpo-1", **changes: Any) -> StepStatus:
    step = key.rsplit("-", 1)[0] if key[-1].isdigit() else key
    whole = {"key": key, "step": "evaluate" if step.startswith("evaluate") else step, "attempt": 1}
    return StepStatus.model_validate(whole | changes)


def status(*rows: StepStatus, **changes: Any) -> RunStatus:
    written = {"phase": Phase.ITERATING, "iterations": [IterationStatus(number=1, steps=list(rows))]}
    return RunStatus().model_copy(update=written | changes)


def told(before: RunStatus, after: RunStatus, run: SelfRewardRun | None = None, **options: Any) -> dict[str, float]:
    """Every sample that is not zero, after one decision that was handed off 0.2 s after its look began."""
    metrics = Metrics(clock=lambda: 10.2)
    run = (run or run_of(training={"nodes": 2, "processesPerNode": 4})).model_copy(update={"status": before})
    options = {"handed_off": 10.0} | options
    metrics.decided("team/demo", run, build_graph(run.spec), after, NOW, **options)
    return {
        sample.name + "".join(f"/{value}" for value in sample.labels.values()): sample.value
        for family in metrics.collect().collect()
        for sample in family.samples
        if sample.value and not sample.name.endswith(("_bucket", "_created"))
    }


RUNNING = a_row(state="Running", started_at=ago(110), running_at=ago(100))
DONE = a_row(state="Succeeded", started_at=ago(110), running_at=ago(100), finished_at=NOW)


def test_a_step_that_succeeds() -> None:
    found = told(status(RUNNING), status(DONE))
    assert found["selfreward_step_duration_seconds_sum/dpo"] == 110
    assert found["selfreward_gpu_seconds_total/dpo"] == 100 * 8
    assert found["selfreward_handoff_seconds_count"] == 1
    assert found["selfreward_handoff_seconds_sum"] == pytest.approx(0.2)
    assert found["selfreward_runs/Iterating"] == 1


def test_a_success_that_creates_nothing_is_no_hand_off() -> None:
    assert "selfreward_handoff_seconds_count" not in told(status(RUNNING), status(DONE), handed_off=None)


@pytest.mark.parametrize(
    ("after", "kind"),
    [
        pytest.param({"state": "Waiting", "failures": 1}, "Application", id="counted"),
        pytest.param({"state": "Waiting", "infrastructure_failures": 1}, "Infrastructure", id="not counted"),
        pytest.param({"state": "Failed"}, "Permanent", id="the user must act"),
    ],
)
def test_an_attempt_that_fails(after: dict[str, Any], kind: str) -> None:
    found = told(status(RUNNING), status(a_row(**after)))
    assert found[f"selfreward_step_failures_total/dpo/{kind}"] == 1
    assert found["selfreward_gpu_seconds_total/dpo"] == 800, "GPUs of a failed attempt were used as well"
    assert "selfreward_step_duration_seconds_count/dpo" not in found


def test_an_attempt_that_begins() -> None:
    found = told(status(), status(a_row(state="Starting", attempt=1)))
    assert found["selfreward_step_attempts_total/dpo"] == 1


@pytest.mark.parametrize(
    ("key", "metrics", "sample", "value"),
    [
        ("pairs-1", {"pairs": 40.0}, "selfreward_pairs_total", 40),
        ("respond-1", {"completion_tokens": 900.0}, "selfreward_completion_tokens_total/respond", 900),
        ("evaluate-m2", {"judge_pairwise_accuracy": 0.75}, "selfreward_judge_accuracy_sum", 0.75),
    ],
)
def test_what_a_step_reports_is_counted_once(key: str, metrics: dict[str, float], sample: str, value: float) -> None:
    done = a_row(key, state="Succeeded", started_at=ago(5), finished_at=NOW)
    counted = done.model_copy(update={"metrics": metrics})
    assert told(status(a_row(key, state="Running")), status(counted))[sample] == value
    assert told(status(done), status(counted))[sample] == value, "numbers come a moment after the output"
    assert sample not in told(status(counted), status(counted))


@pytest.mark.parametrize(
    ("before", "after", "seconds"),
    [
        pytest.param({"state": "Starting"}, {"state": "Ready"}, 60, id="it comes up"),
        pytest.param({"state": "Ready"}, {"state": "Stopping"}, 60, id="it is not needed any more"),
        pytest.param({"state": "Stopping"}, None, 60, id="it is gone"),
        pytest.param({"state": "Ready"}, {"state": "Ready"}, 0, id="it goes on"),
    ],
)
def test_a_server_holds_gpus(before: dict[str, Any], after: dict[str, Any] | None, seconds: float) -> None:
    def servings(entry: dict[str, Any] | None) -> RunStatus:
        known = {"model": "m1", "child": "demo-serve-m1-a1", "since": ago(60)}
        entries = [] if entry is None else [known | entry]
        return RunStatus.model_validate({"servings": entries})

    run = run_of(serving={"tensorParallel": 4, "replicas": 2})
    found = told(servings(before), servings(after), run)
    assert found.get("selfreward_gpu_seconds_total/serving", 0) == seconds * 8


def test_no_label_grows_with_the_users() -> None:
    """Everything at once, for a hundred runs of a hundred names; what tells of single runs is counted below."""
    metrics = Metrics(run_series=0)
    keys = [node.key for node in build_graph(run_of().spec).nodes]
    for number in range(100):
        run = run_of(name=f"run-{number}")
        after = status(*(a_row(key, state="Failed", failures=1, attempt=2) for key in keys))
        metrics.decided(f"team-{number}/run", run, build_graph(run.spec), after, NOW, handed_off=None)
        metrics.reconciles.labels("done").inc()
    samples = [sample for family in metrics.collect().collect() for sample in family.samples]
    for sample in samples:
        for label, value in sample.labels.items():
            allowed = LABELS[label]
            assert allowed is None or value in allowed
    assert len(samples) < 400
    assert b"run-7" not in generate_latest(metrics.registry)


def of_runs(metrics: Metrics) -> dict[str, list[tuple[dict[str, str], float]]]:
    """The samples of single runs, by metric."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in metrics.collect().collect():
        if family.name.startswith("selfreward_run_"):
            found[family.name] = [(sample.labels, sample.value) for sample in family.samples]
    return found


def seen(metrics: Metrics, name: str, phase: Phase = Phase.ITERATING, **changes: Any) -> None:
    run = run_of(name=name)
    after = status(a_row(), phase=phase, iteration=2, **changes)
    metrics.decided(f"team/{name}", run, build_graph(run.spec), after, NOW, handed_off=None)


def test_a_run_has_series_of_its_own_until_it_is_gone() -> None:
    metrics = Metrics()
    seen(metrics, "demo")
    names = {"namespace": "team", "run": "demo"}
    assert of_runs(metrics) == {
        "selfreward_run_info": [({**names, "model": run_of().spec.model.uri}, 1)],
        "selfreward_run_phase": [({**names, "phase": "Iterating"}, 1)],
        "selfreward_run_iteration": [(names, 2)],
        "selfreward_run_iterations": [(names, run_of().spec.iterations)],
        "selfreward_run_stalled": [(names, 0)],
    }
    seen(metrics, "demo", Phase.SUCCEEDED)
    assert [labels["phase"] for labels, _ in of_runs(metrics)["selfreward_run_phase"]] == ["Succeeded"]
    metrics.forget("team/demo")
    assert not any(of_runs(metrics).values())


def test_what_is_not_finished_has_series_first_and_the_rest_is_counted() -> None:
    metrics = Metrics(run_series=2)
    for name, phase in (("a", Phase.SUCCEEDED), ("b", Phase.ITERATING), ("c", Phase.FAILED), ("d", Phase.SUSPENDED)):
        seen(metrics, name, phase)
    assert [labels["run"] for labels, _ in of_runs(metrics)["selfreward_run_info"]] == ["b", "d"]
    assert metrics.registry.get_sample_value("selfreward_runs_without_series") == 2
    metrics.collect()
    assert metrics.registry.get_sample_value("selfreward_runs", {"phase": "Failed"}) == 1, "counted all the same"


def test_a_run_that_cannot_be_read_is_told_of_with_what_was_known() -> None:
    metrics = Metrics()
    stalled = stalled_status(RunStatus(), Obstacle(Reason.INVALID_SPEC, "spec.model: is required", NOW), 1, NOW)
    metrics.of_runs.note_unreadable("team/new", stalled)
    seen(metrics, "old")
    metrics.of_runs.note_unreadable("team/old", stalled)
    found = of_runs(metrics)
    assert [value for _, value in found["selfreward_run_stalled"]] == [1, 1]
    assert [labels["model"] for labels, _ in found["selfreward_run_info"]] == ["", run_of().spec.model.uri]
