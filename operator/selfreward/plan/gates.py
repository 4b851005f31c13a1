"""The gates: which numbers of the steps trip `spec.gates`, and what that does to the walk.

Nothing is stored: what trips follows from the rows of the steps that ended and the spec, so that a changed limit,
or a tripped gate that a person accepts, counts at the next look. A step's numbers come a moment after its output;
where a gate of them could hold the run, what comes next waits that moment. This module must not start anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from selfreward_steps.contract import StepName, artifact_names

from selfreward.api import ACCEPTED, GateAction, Gates, SelfRewardRun, StepState, StepStatus, numbered
from selfreward.plan.draft import Draft, Tripped
from selfreward.plan.gate_checks import CHECKS, Measured
from selfreward.plan.graph import Graph, evaluation_key, model_artifact, step_key
from selfreward.plan.types import EventReason

Rows = Mapping[str, StepStatus]
_ENDED: Final = (StepState.SUCCEEDED, StepState.FAILED)
"""A judge that says one score for all leaves no pair, so its step fails: its gates trip all the same."""


@dataclass(frozen=True, slots=True)
class GateReading:
    """What one gate says of one step's numbers."""

    gate: str
    """Field of `spec.gates`."""
    key: str
    """The step whose numbers they are."""
    iteration: int
    action: GateAction
    value: float | None
    """The number that its limit is for; None where it could not be told, which may be what is wrong."""
    wrong: str | None
    """What is wrong; None where the limit is kept to."""
    is_accepted: bool
    """Whether somebody has looked at the iteration's gates and lets the run go on."""


def weigh_gates(draft: Draft) -> None:
    """Note what trips now, and tell what did not before."""
    written = {row.key: row for part in draft.status.iterations for row in part.steps}
    before = {(each.gate, each.key) for each in _tripped(draft, written)}
    told = {(each.gate, each.key) for each in draft.tripped}
    draft.tripped = list(_tripped(draft, draft.rows))
    for each in draft.tripped:
        if (each.gate, each.key) not in before | told:
            draft.tell(EventReason.GATE_TRIPPED, each.message, warning=True)


def awaits_numbers(draft: Draft, key: str) -> bool:
    """Whether a step that is done has yet to say how it went, and a gate that holds the run depends on it."""
    row = draft.rows[key]
    holding = any(action is not GateAction.WARN for action in _actions(draft.run.spec.gates, row.step))
    child = draft.child(row)
    return holding and not row.metrics and child is not None and not child.phase.is_terminal


def accepted_iteration(run: SelfRewardRun) -> int:
    """The last iteration whose tripped gates somebody has accepted; -1 for none, or when it is no number."""
    accepted = numbered(run.metadata.annotations.get(ACCEPTED, ""))
    return -1 if accepted is None else accepted


def gate_readings(run: SelfRewardRun, graph: Graph, rows: Rows) -> Iterator[GateReading]:
    """What every gate says of the numbers that the steps have so far, in the graph's order; `rows` by key."""
    accepted = accepted_iteration(run)
    for node in graph.nodes:
        row = rows.get(node.key)
        if node.step is StepName.EVALUATE and not artifact_names.is_evaluation(node.output):
            continue  # the first of two parts: the second tells of both
        if node.step is StepName.DPO and artifact_names.is_of_checkpoint(node.output):
            continue  # the model that is chosen tells of itself
        if row is None or row.state not in _ENDED or not row.metrics:
            continue
        measured = Measured(row, _first(rows, row.step), run.spec.judge.mode)
        for name, check in CHECKS.get(row.step, {}).items():
            value, wrong = check.value(measured), check.wrong(measured, run.spec.gates)
            if value is not None or wrong is not None:
                yield GateReading(
                    gate=name,
                    key=row.key,
                    iteration=node.iteration,
                    action=getattr(run.spec.gates, name).action,
                    value=value,
                    wrong=wrong,
                    is_accepted=accepted >= node.iteration,
                )


def _tripped(draft: Draft, rows: Rows) -> Iterator[Tripped]:
    for reading in gate_readings(draft.run, draft.graph, rows):
        if reading.wrong is not None:
            yield Tripped(
                gate=reading.gate,
                key=reading.key,
                iteration=reading.iteration,
                action=reading.action,
                message=f"{reading.key}: {reading.wrong}",
                is_accepted=reading.is_accepted,
                last_good=model_artifact(draft.run.spec, max(1, reading.iteration)),
            )


def _first(rows: Rows, step: StepName) -> StepStatus | None:
    first = {StepName.PAIRS: step_key(StepName.PAIRS, 1), StepName.EVALUATE: evaluation_key(1)}
    return rows.get(first.get(step, ""))


def _actions(gates: Gates, step: StepName) -> Iterator[GateAction]:
    return (getattr(gates, name).action for name in CHECKS.get(step, {}))
