"""The summary of a run, which a person sees first: the derived columns of status. Nothing reads them back, except
that what was reached is never taken back.

This module must not decide anything.
"""

from __future__ import annotations

from typing import Final

from selfreward_steps.contract import StepName
from selfreward_steps.store.names import run_root

from selfreward.api import IterationStatus, Phase, Reason, RunStatus, StepState, StepStatus
from selfreward.api.status import Progress
from selfreward.plan.conditions import Story, conditions, tell_story
from selfreward.plan.draft import ACTIVE, Draft
from selfreward.plan.graph import BASELINE_EVALUATION_KEY, model_artifact

PAIRS_METRIC: Final = "pairs"
_MOST_PAIRS: Final = 2.0**53
ACCURACY_METRIC: Final = "judge_pairwise_accuracy"


def new_status(draft: Draft) -> RunStatus:
    """The status to write; the very object that was given when nothing changed, so that nothing is written."""
    before = draft.status
    running = [row for row in draft.rows.values() if row.state in ACTIVE]
    story = tell_story(draft)
    status = RunStatus(
        observed_generation=draft.run.metadata.generation,
        phase=_phase(draft, story),
        iteration=max(before.iteration, _iteration(draft)),
        step=", ".join(row.key for row in running),
        progress=next((_progress(row.progress) for row in running if row.progress is not None), ""),
        model=_newest_model(draft) or before.model,
        pairs=_pairs(draft, before.pairs),
        judge_accuracy=_judge_accuracy(draft) or before.judge_accuracy,
        artifacts=_artifacts(draft),
        conditions=conditions(draft, story),
        iterations=_iterations(draft),
        servings=list(draft.servings.values()),
        started_at=draft.started_at,
        finished_at=draft.finished_at,
        suspended_at=draft.suspended_at,
        suspended_seconds=draft.suspended_seconds,
        waiting_since=draft.waiting_since,
    )
    return draft.run.status if status == draft.run.status else status


def _iterations(draft: Draft) -> list[IterationStatus]:
    """The rows by iteration. What is no longer in the graph is kept when it is history."""
    rows: dict[int, list[StepStatus]] = {}
    for node in draft.graph.nodes:
        rows.setdefault(node.iteration, []).append(draft.rows[node.key])
    for iteration in draft.status.iterations:
        gone = (row for row in iteration.steps if row.key not in draft.rows and row.finished_at is not None)
        for row in gone:
            rows.setdefault(iteration.number, []).append(row)
    return [IterationStatus(number=number, steps=steps) for number, steps in sorted(rows.items())]


def _phase(draft: Draft, story: Story) -> Phase:
    if draft.failure is not None:
        return Phase.FAILED
    if draft.is_complete():
        return Phase.SUCCEEDED
    if draft.suspended_at is not None:
        return Phase.SUSPENDED
    if story.reason in (Reason.WAITING_FOR_SCHEDULE, Reason.WAITING_FOR_APPROVAL):
        return Phase.WAITING
    if draft.started_at is None:
        return Phase.PENDING
    if story.reason is Reason.WAITING_FOR_QUOTA:
        return Phase.WAITING
    return Phase.ITERATING if _iteration(draft) > 0 else Phase.SEEDING


def _iteration(draft: Draft) -> int:
    """The newest iteration that has begun; evaluating its model is not what begins it."""
    begun = (
        node.iteration
        for node in draft.graph.nodes
        if draft.rows[node.key].state is not StepState.WAITING or draft.rows[node.key].attempt > 0
    )
    return max(begun, default=0)


def _progress(progress: Progress) -> str:
    if progress.total is None and progress.done == 0:
        return progress.unit  # what it does before it counts
    total = "" if progress.total is None else f"/{progress.total}"
    return f"{progress.done}{total} {progress.unit}".strip()


def _newest_model(draft: Draft) -> str:
    """The last model of the chain that is committed; when a gate has stopped the run, the last good one."""
    if draft.stopping is not None:
        return draft.stopping.last_good
    models = (model_artifact(draft.run.spec, number) for number in range(draft.run.spec.iterations + 1, -1, -1))
    committed = {artifact for row in _succeeded(draft) for artifact in row.outputs}
    return next((model for model in models if model in committed), "")


def _pairs(draft: Draft, before: int | None) -> int | None:
    counts = [row.metrics[PAIRS_METRIC] for row in _succeeded(draft, StepName.PAIRS) if PAIRS_METRIC in row.metrics]
    # Whoever can write to the store can claim any number; a status has integers of 64 bits.
    return int(max(0.0, min(counts[-1], _MOST_PAIRS))) if counts else before


def _judge_accuracy(draft: Draft) -> str:
    rows = [row for row in _succeeded(draft, StepName.EVALUATE) if row.key != BASELINE_EVALUATION_KEY]
    found = [row.metrics[ACCURACY_METRIC] for row in rows if ACCURACY_METRIC in row.metrics]
    return f"{found[-1]:.3f}" if found else ""


def _succeeded(draft: Draft, step: StepName | None = None) -> list[StepStatus]:
    """Rows of steps that succeeded, in the graph's order."""
    return [row for row in draft.rows.values() if row.state is StepState.SUCCEEDED and step in (None, row.step)]


def _artifacts(draft: Draft) -> str:
    """URI of the run's folder; where the spec names none, whoever walks the run has filled it in."""
    uri, metadata = draft.run.spec.storage.uri, draft.run.metadata
    return draft.status.artifacts if uri is None else run_root(uri, metadata.namespace, metadata.name)
