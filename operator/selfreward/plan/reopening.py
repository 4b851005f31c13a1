"""Reopening a finished run: a failed one from its failed step, a complete one that has more to do.

Failed is final until somebody asks: by an annotation, by the command line, or by repairing the spec where the
failure said that the user must. This module must not look at children.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from selfreward.api import ConditionType, Reason, RunStatus, SelfRewardRun, StepState, StepStatus
from selfreward.plan.draft import Draft
from selfreward.plan.types import EventReason

REPAIRABLE: Final = frozenset({Reason.CONFIGURATION_ERROR, Reason.SERVING_FAILED, Reason.DEADLINE_EXCEEDED})
"""Failures after which a change of the spec is taken as the repair that was asked for."""


def retry_failed(status: RunStatus, now: datetime) -> RunStatus:
    """The status from which the walk goes on at the failed step, as if its retries were unused.

    What succeeded stays; so do attempt numbers, since names of children must never come back. A run that has not
    failed is returned as it is.
    """
    if _failed_reason(status) is None:
        return status
    iterations = [
        iteration.model_copy(update={"steps": [_fresh(row) for row in iteration.steps]})
        for iteration in status.iterations
    ]
    servings = [
        serving.model_copy(update={"failures": 0, "retry_at": None, "reason": "", "message": ""})
        for serving in status.servings
    ]
    finished = (ConditionType.FAILED, ConditionType.STALLED)
    return status.model_copy(
        update={
            "iterations": iterations,
            "servings": servings,
            "conditions": [condition for condition in status.conditions if condition.type not in finished],
            "suspended_seconds": status.suspended_seconds + _seconds_finished(status.finished_at, now),
            "finished_at": None,
        }
    )


def repaired(run: SelfRewardRun, now: datetime) -> RunStatus:
    """The run's status, tried again when the user has just changed the spec of a run that asked for it."""
    is_changed = run.metadata.generation != run.status.observed_generation
    return retry_failed(run.status, now) if is_changed and _failed_reason(run.status) in REPAIRABLE else run.status


def reopen(draft: Draft) -> None:
    """Let a complete run go on when there is more to do (iterations were raised, a gate that ended it no longer
    does), and say so of a repaired one."""
    if draft.status is not draft.run.status:
        draft.tell(EventReason.RUN_REOPENED, "the spec has changed since the run failed")
    if draft.finished_at is None or draft.is_complete() or draft.failure is not None:
        return
    draft.suspended_seconds += _seconds_finished(draft.finished_at, draft.now)
    draft.finished_at = None
    draft.tell(EventReason.RUN_REOPENED, f"{draft.run.spec.iterations} iterations asked for")


def _fresh(row: StepStatus) -> StepStatus:
    """An undone step without its past failures; a done one as it is."""
    if row.state is StepState.SUCCEEDED:
        return row
    return StepStatus(key=row.key, step=row.step, attempt=row.attempt)


def _failed_reason(status: RunStatus) -> Reason | None:
    failed = status.true_condition(ConditionType.FAILED)
    return Reason(failed.reason) if failed is not None else None


def _seconds_finished(finished_at: datetime | None, now: datetime) -> float:
    return (now - finished_at).total_seconds() if finished_at is not None else 0
