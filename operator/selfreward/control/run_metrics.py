"""Metrics of single runs for Prometheus: series that live as long as the resource, and no more of them than is set.

Labels with a run's name grow with the users, so they are few: a run has five series, runs that have not finished come
first, and how many are left out is a number of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from selfreward.api import ConditionType, Phase, RunStatus
from selfreward.api.printable import printable

_MODEL_LENGTH: Final = 128
_OF_A_RUN: Final = ("namespace", "run")
_FINISHED: Final = frozenset({Phase.SUCCEEDED, Phase.FAILED})


@dataclass(frozen=True, slots=True)
class _Known:
    """What is told of a run."""

    model: str
    iterations: int
    phase: Phase
    iteration: int
    stalled: bool


class RunMetrics(Collector):
    """The series of each run, `limit` runs at most."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._runs: dict[str, _Known] = {}

    def note(self, key: str, model: str, iterations: int, status: RunStatus) -> None:
        """Tell of the run `NAMESPACE/NAME` as it is now."""
        stalled = status.true_condition(ConditionType.STALLED) is not None
        shown = printable(model)[:_MODEL_LENGTH]
        self._runs[key] = _Known(shown, iterations, status.phase, status.iteration, stalled)

    def note_unreadable(self, key: str, status: RunStatus) -> None:
        """Tell of a run whose spec cannot be read, or whose store refuses."""
        known = self._runs.get(key)
        self.note(key, known.model if known else "", known.iterations if known else 0, status)

    def forget(self, key: str) -> None:
        """Tell no more of a run that is gone."""
        self._runs.pop(key, None)

    def count(self, phase: Phase) -> int:
        """Runs in that phase, those without series among them."""
        return sum(each.phase is phase for each in self._runs.values())

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """All series, as Prometheus asks for them."""
        info = GaugeMetricFamily(
            "selfreward_run_info", "A run, and what it starts from; always 1.", labels=[*_OF_A_RUN, "model"]
        )
        phase = GaugeMetricFamily("selfreward_run_phase", "The phase a run is in; 1.", labels=[*_OF_A_RUN, "phase"])
        iteration = GaugeMetricFamily("selfreward_run_iteration", "The iteration under way.", labels=_OF_A_RUN)
        iterations = GaugeMetricFamily("selfreward_run_iterations", "Iterations asked for.", labels=_OF_A_RUN)
        stalled = GaugeMetricFamily("selfreward_run_stalled", "Whether somebody must act.", labels=_OF_A_RUN)
        left_out = GaugeMetricFamily("selfreward_runs_without_series", "Runs beyond those that have series.")
        ordered = sorted(self._runs.items(), key=lambda each: (each[1].phase in _FINISHED, each[0]))
        for key, run in ordered[: self._limit]:
            names = key.split("/", 1)
            info.add_metric([*names, run.model], 1)
            phase.add_metric([*names, str(run.phase)], 1)
            iteration.add_metric(names, run.iteration)
            iterations.add_metric(names, run.iterations)
            stalled.add_metric(names, run.stalled)
        left_out.add_metric([], max(0, len(ordered) - self._limit))
        return [info, phase, iteration, iterations, stalled, left_out]
