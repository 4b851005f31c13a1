"""Metrics for Prometheus. No label has a run's name, a namespace or anything else that grows without end, but those of
:mod:`selfreward.control.run_metrics`, which are counted."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from selfreward_steps.contract import FailureClass, StepName

import selfreward
from selfreward.api import Phase, RunStatus, SelfRewardRun, ServingState, StepState, StepStatus
from selfreward.control.run_metrics import RunMetrics
from selfreward.plan import BASELINE_EVALUATION_KEY, Graph
from selfreward.plan.summary import ACCURACY_METRIC, PAIRS_METRIC
from selfreward.render.gpus import gpus_of_server, gpus_of_step

_STEP_SECONDS: Final = (1, 10, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 72 * 3600)
_HANDOFF_SECONDS: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10)
_TOKENS_METRIC: Final = "completion_tokens"


class Metrics:
    """All metrics of the operator, in a registry of their own."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, run_series: int = 1000) -> None:
        self.clock = clock
        self.registry = CollectorRegistry()
        self.of_runs = RunMetrics(run_series)
        registry = self.registry
        registry.register(self.of_runs)
        build = Gauge(
            "selfreward_build_info", "This operator; always 1.", ["version", "python_version"], registry=registry
        )
        build.labels(selfreward.__version__, platform.python_version()).set(1)
        self.runs = Gauge("selfreward_runs", "Runs by phase.", ["phase"], registry=registry)
        self.step_seconds = Histogram(
            "selfreward_step_duration_seconds",
            "From the start of an attempt to its commit.",
            ["step"],
            buckets=_STEP_SECONDS,
            registry=registry,
        )
        self.attempts = Counter(
            "selfreward_step_attempts_total", "Attempts that were begun.", ["step"], registry=registry
        )
        self.failures = Counter(
            "selfreward_step_failures_total",
            "Attempts that failed, by who must act.",
            ["step", "failure_class"],
            registry=registry,
        )
        self.handoff_seconds = Histogram(
            "selfreward_handoff_seconds",
            "From the news of a step's success to the child created on it; one that waits for a server is not counted.",
            buckets=_HANDOFF_SECONDS,
            registry=registry,
        )
        self.pairs = Counter("selfreward_pairs_total", "Preference pairs built.", registry=registry)
        self.tokens = Counter(
            "selfreward_completion_tokens_total", "Tokens sampled by the steps.", ["step"], registry=registry
        )
        self.judge_accuracy = Histogram(
            "selfreward_judge_accuracy",
            "Pairwise accuracy of evaluated models as judges.",
            buckets=[each / 20 for each in range(8, 21)],
            registry=registry,
        )
        self.gpu_seconds = Counter(
            "selfreward_gpu_seconds_total",
            "GPU time: of a step from when it runs, of a server from its creation to its removal.",
            ["workload"],
            registry=registry,
        )
        self.reconciles = Counter(
            "selfreward_reconciles_total", "Looks at runs, by outcome.", ["outcome"], registry=registry
        )
        self.queue_depth = Gauge("selfreward_queue_depth", "Runs that wait to be looked at.", registry=registry)
        self.leader = Gauge("selfreward_leader", "Whether this replica leads.", registry=registry)

    def decided(
        self, key: str, run: SelfRewardRun, graph: Graph, status: RunStatus, now: datetime, *, handed_off: float | None
    ) -> None:
        """Count what a decision made at `now`, written and acted on, has changed. `handed_off`: when its look was due,
        if it created a child."""
        self.of_runs.note(key, run.spec.model.uri, run.spec.iterations, status)
        before = {row.key: row for row in _rows(run.status)}
        succeeded = False
        for row in _rows(status):
            old = before.get(row.key) or StepStatus(key=row.key, step=row.step)
            self._count_attempts(old, row)
            self._count_gpus(run, graph, old, row, now)
            if row.state is StepState.SUCCEEDED and old.state is not StepState.SUCCEEDED:
                succeeded = True
                self._count_success(row)
            if row.metrics and row.state is StepState.SUCCEEDED and (old.state is not row.state or not old.metrics):
                self._count_results(row)
        self._count_servers(run, status, now)
        if succeeded and handed_off is not None:
            self.handoff_seconds.observe(self.clock() - handed_off)

    def forget(self, key: str) -> None:
        """Count a run no more that is gone."""
        self.of_runs.forget(key)

    def collect(self) -> CollectorRegistry:
        """The registry, with the gauges brought up to date."""
        for phase in Phase:
            self.runs.labels(str(phase)).set(self.of_runs.count(phase))
        return self.registry

    def _count_attempts(self, old: StepStatus, row: StepStatus) -> None:
        step = row.step.value
        self.attempts.labels(step).inc(max(0, row.attempt - old.attempt))
        counted = {
            FailureClass.APPLICATION: row.failures - old.failures,
            FailureClass.INFRASTRUCTURE: row.infrastructure_failures - old.infrastructure_failures,
        }
        if row.state is StepState.FAILED and old.state is not StepState.FAILED and not any(counted.values()):
            counted[FailureClass.PERMANENT] = 1
        for kind, count in counted.items():
            if count > 0:
                self.failures.labels(step, str(kind)).inc(count)

    def _count_success(self, row: StepStatus) -> None:
        if row.finished_at is not None and row.started_at is not None:
            self.step_seconds.labels(row.step.value).observe((row.finished_at - row.started_at).total_seconds())

    def _count_gpus(self, run: SelfRewardRun, graph: Graph, old: StepStatus, row: StepStatus, now: datetime) -> None:
        """When an attempt is over, however it ended."""
        is_over = row.state is not StepState.RUNNING or row.attempt != old.attempt
        node = graph.by_key.get(row.key)
        if old.state is not StepState.RUNNING or old.running_at is None or not is_over or node is None:
            return
        seconds = max(0.0, (now - old.running_at).total_seconds())
        if (gpus := gpus_of_step(run.spec, node)) > 0:
            self.gpu_seconds.labels(row.step.value).inc(seconds * gpus)

    def _count_servers(self, run: SelfRewardRun, status: RunStatus, now: datetime) -> None:
        """Each time a server changes its state, the time it spent in the one before."""
        current = {serving.model: serving for serving in status.servings}
        for old in run.status.servings:
            new = current.get(old.model)
            if new is None or (new.child, new.state) != (old.child, old.state):
                retries = old.retry_at is not None and old.state is ServingState.STOPPING
                waits = retries or old.state is ServingState.ASLEEP
                seconds = 0.0 if waits else max(0.0, (now - old.since).total_seconds())
                self.gpu_seconds.labels("serving").inc(seconds * gpus_of_server(run.spec))

    def _count_results(self, row: StepStatus) -> None:
        if row.step is StepName.PAIRS and PAIRS_METRIC in row.metrics:
            self.pairs.inc(row.metrics[PAIRS_METRIC])
        measures_a_model = row.step is StepName.EVALUATE and row.key != BASELINE_EVALUATION_KEY
        if measures_a_model and ACCURACY_METRIC in row.metrics:
            self.judge_accuracy.observe(row.metrics[ACCURACY_METRIC])
        if _TOKENS_METRIC in row.metrics:
            self.tokens.labels(row.step.value).inc(row.metrics[_TOKENS_METRIC])


def _rows(status: RunStatus) -> Iterator[StepStatus]:
    return (row for iteration in status.iterations for row in iteration.steps)
