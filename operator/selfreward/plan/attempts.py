"""The attempts that are under way: from what is observed of their children to the steps' rows.

What is committed wins over everything a child says: a training job may call itself failed although all its ranks have
finished. This module must not start anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from selfreward_steps.contract import ALREADY_COMMITTED, FailureClass, StepResult

from selfreward.api import Reason, StepState, StepStatus
from selfreward.api.status import Progress
from selfreward.plan.deadlines import late_start, missing_output, overrun, silence
from selfreward.plan.draft import Draft
from selfreward.plan.failures import OUTDATED, child_failure, fail_attempt
from selfreward.plan.graph import Node
from selfreward.plan.types import ChildPhase, EventReason, Failure, ObservedChild

PROGRESS_SECONDS: Final = 15
"""News of a running step are written at most this often, so that a run costs few status writes."""


def take_commits(draft: Draft) -> bool:
    """Mark every step as succeeded whose outputs are in the store, whatever its child says or never said.

    Returns whether that was news of a step that never began: an earlier run of the same name and settings did it,
    or the status was lost.
    """
    has_found = False
    for node in draft.graph.nodes:
        row = draft.rows[node.key]
        if row.state is StepState.SUCCEEDED:
            _complete_metrics(draft, node, row)
        elif row.state is not StepState.FAILED and all(name in draft.observed.committed for name in node.outputs):
            _succeed(draft, node, row)
            has_found = has_found or row.attempt == 0
    return has_found


def follow_attempts(draft: Draft) -> None:
    """Bring the rows of running steps up to what is observed of their children."""
    for node in list(draft.active_nodes()):
        _follow(draft, node, draft.rows[node.key])


def total_metrics(results: Iterable[StepResult]) -> dict[str, float]:
    """The metrics of a step from those of its pods: counts add up, anything per something is averaged."""
    return _total(result.metrics for result in results)


def _total(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for part in parts:
        for name, value in part.items():
            values.setdefault(name, []).append(value)
    return {
        name: sum(found) / len(found) if _AVERAGED.search(name) else sum(found)
        for name, found in sorted(values.items())
    }


_AVERAGED: Final = re.compile(r"^(mean|concurrency)_|_(rate|share|accuracy|per_second)$")
"""Names of metrics that shards do not add to, as the steps name them."""


def _succeed(draft: Draft, node: Node, row: StepStatus) -> None:
    child = draft.child(row)
    row = draft.put(
        row,
        state=StepState.SUCCEEDED,
        outputs={artifact: draft.observed.committed[artifact] for artifact in node.outputs},
        metrics={},
        progress=_shown(child) or row.progress,
        infrastructure_since=None,
        finished_at=draft.now,
        retry_at=None,
        reason="",
        message="",
    )
    _complete_metrics(draft, node, row)
    draft.tell(EventReason.STEP_SUCCEEDED, f"{row.key}: {', '.join(node.outputs)} committed")


def _complete_metrics(draft: Draft, node: Node, row: StepStatus) -> None:
    """Take a step's numbers once its child has ended, which is a moment after its output was committed.

    Where the child is gone, or its pods are (a lost node), or one of these found its output committed by an earlier
    attempt, the outputs' manifests have them; of several outputs the first that has any.
    """
    child = draft.child(row)
    if row.metrics or (child is not None and not child.phase.is_terminal):
        return
    results = child.results if child is not None else ()
    is_whole = len(results) >= (node.shards or 1) and all(each.reason != ALREADY_COMMITTED for each in results)
    told, kept = total_metrics(results), _kept_metrics(draft, row)
    metrics = (told or kept) if is_whole else (kept or told)
    if metrics:
        draft.put(row, metrics=metrics)


def _kept_metrics(draft: Draft, row: StepStatus) -> dict[str, float]:
    totals = (_total(draft.observed.measured.get(artifact, ())) for artifact in row.outputs)
    return next(filter(None, totals), {})


def _follow(draft: Draft, node: Node, row: StepStatus) -> None:
    child = draft.child(row)
    if child is None and row.child_uid is None:
        failure = late_start(draft, row, None)
    elif child is None or child.deleting:
        failure = _LOST
    else:
        if row.child_uid is None:
            row = draft.put(row, state=StepState.RUNNING, child_uid=child.uid)
        failure = _observe(draft, node, row, child)
    if failure is not None:
        fail_attempt(draft, draft.rows[row.key], failure)
        _keep_numbers(draft, draft.rows[row.key], child)


def _keep_numbers(draft: Draft, row: StepStatus, child: ObservedChild | None) -> None:
    """What a step that is given up measured to its end, for the gates, in place of what it said on its way."""
    if row.state is StepState.FAILED:
        draft.put(row, metrics=total_metrics(child.results if child is not None else ()))


_LOST: Final = Failure(FailureClass.INFRASTRUCTURE, Reason.CHILD_LOST, "the child vanished")


def _observe(draft: Draft, node: Node, row: StepStatus, child: ObservedChild) -> Failure | None:
    """Note what the child does; returns why the attempt is over, if it is."""
    match child.phase:
        case ChildPhase.FAILED:
            return child_failure(child)
        case ChildPhase.SUCCEEDED:
            return missing_output(draft, row)
        case ChildPhase.PENDING:
            _say(draft, row, Reason.PENDING if child.waiting else "", child.waiting)
            return OUTDATED if child.outdated else late_start(draft, row, child)
        case ChildPhase.RUNNING | ChildPhase.READY | ChildPhase.ASLEEP:
            if row.running_at is None:
                row = draft.put(row, running_at=child.running_at or draft.now)
            row = _say(draft, row, "", "")
            row = _take_progress(draft, row, child)
            return overrun(draft, row) or silence(draft, node, row, child)


def _say(draft: Draft, row: StepStatus, reason: str, message: str) -> StepStatus:
    if (row.reason, row.message) == (reason, message):
        return row
    return draft.put(row, reason=reason, message=message)


def _take_progress(draft: Draft, row: StepStatus, child: ObservedChild) -> StepStatus:
    """Write progress down: news every few seconds, mere signs of life only as often as hang detection needs."""
    progress, shown = child.progress, _shown(child)
    if progress is None or shown is None:
        return row
    is_new = shown != row.progress
    pause = PROGRESS_SECONDS if is_new else max(PROGRESS_SECONDS, draft.run.spec.deadlines.progress / 4)
    is_last = is_new and shown.done == shown.total
    if not is_last and row.progressed_at is not None and (progress.at - row.progressed_at).total_seconds() < pause:
        return row
    advanced = row.progress is not None and shown.done > row.progress.done
    return draft.put(
        row,
        progress=shown,
        progressed_at=progress.at,
        metrics=dict(progress.metrics),
        infrastructure_since=None if advanced else row.infrastructure_since,
    )


def _shown(child: ObservedChild | None) -> Progress | None:
    if child is None or child.progress is None:
        return None
    return Progress(done=child.progress.done, total=child.progress.total, unit=child.progress.unit)
