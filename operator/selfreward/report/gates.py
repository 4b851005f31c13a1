"""The gates of a run in words: what was measured, the limit, and whether it was kept to. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydantic.alias_generators import to_camel

from selfreward.api import Gates, SelfRewardRun
from selfreward.plan import GateReading, build_graph, gate_readings
from selfreward.report.model import GateReport
from selfreward.report.words import number

_NO_SHARES: Final = ("length_growth", "judge_drift", "reward_margin")


def gate_reports(run: SelfRewardRun) -> tuple[GateReport, ...]:
    """Every gate whose number has been measured so far, in the graph's order."""
    rows = {row.key: row for iteration in run.status.iterations for row in iteration.steps}
    return tuple(_reports(run.spec.gates, gate_readings(run, build_graph(run.spec), rows)))


def _reports(gates: Gates, readings: Iterator[GateReading]) -> Iterator[GateReport]:
    for reading in readings:
        state = "kept" if reading.wrong is None else "accepted" if reading.is_accepted else "tripped"
        yield GateReport(
            iteration=reading.iteration,
            name=to_camel(reading.gate),
            step=reading.key,
            value="not measured" if reading.value is None else _words(reading.gate, reading.value),
            limit=_limit(gates, reading.gate),
            state=state,
            action=reading.action,
            message=reading.wrong or "",
        )


def _limit(gates: Gates, name: str) -> str:
    """The gate's one limit."""
    gate = getattr(gates, name)
    field = next(each for each in type(gate).model_fields if each != "action")
    return f"{'at least' if field.startswith('minimum') else 'at most'} {_words(name, getattr(gate, field))}"


def _words(gate: str, value: float) -> str:
    return number(float(f"{value:.3g}")) if gate in _NO_SHARES else f"{value:.0%}"
