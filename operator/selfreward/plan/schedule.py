"""The wait between two iterations, for a time or for approval (`spec.schedule`), and for a queue's quota.

The wait begins when the iteration could start, which is written down: a time that is missed while the operator is
away is made up for. Evaluation of the last model goes on meanwhile. This module must not start anything.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from selfreward.api import APPROVED, Reason, Schedule, SelfRewardRun, StepState, numbered
from selfreward.plan.draft import Draft, Wait
from selfreward.plan.graph import Node
from selfreward.plan.quota import quota_wait
from selfreward.plan.suspension import Hold
from selfreward.plan.types import EventReason

_QUOTED: Final = 40
"""Characters of an annotation that are quoted."""


def wait_for_next(draft: Draft, hold: Hold) -> None:
    """Note which iteration may not start yet, and why. What is held anyway does not wait for this, too.

    Asked before anything is started, and again when it is clear what was.
    """
    schedule = draft.run.spec.schedule
    entry = _entry(draft) if hold is Hold.NOTHING else None
    scheduled = schedule is not None and entry is not None
    draft.wait = None
    if schedule is not None and entry is not None:
        draft.wait = _wait(draft, schedule, entry.iteration, draft.waiting_since or draft.now)
    if draft.wait is None and hold is Hold.NOTHING and not draft.is_complete():
        draft.wait = quota_wait(draft)
    if draft.wait is None and not scheduled:
        _leave(draft)
    elif draft.wait is not None and draft.waiting_since is None:
        draft.waiting_since = draft.now
        by_queue = draft.wait.reason is Reason.WAITING_FOR_QUOTA
        draft.tell(EventReason.QUOTA_WAITING if by_queue else EventReason.ITERATION_WAITING, draft.wait.message)


def approved_iteration(run: SelfRewardRun) -> int | None:
    """The last iteration that may start; None when the annotation is no number."""
    return numbered(run.metadata.annotations.get(APPROVED, "0"))


def _entry(draft: Draft) -> Node | None:
    """The first step of the next iteration, if nothing of that has begun and all it needs is there."""
    begun = {
        node.iteration
        for node in draft.graph.nodes
        if draft.rows[node.key].attempt > 0 or draft.rows[node.key].state is not StepState.WAITING
    }
    entry = next((node for node in draft.graph.nodes if node.iteration > max(begun, default=0)), None)
    if entry is None or any(draft.rows[key].state is not StepState.SUCCEEDED for key in entry.after):
        return None
    return entry


def _wait(draft: Draft, schedule: Schedule, iteration: int, since: datetime) -> Wait | None:
    if schedule.approval:
        approved = approved_iteration(draft.run)
        if approved is not None and approved >= iteration:
            return None
        wrong = "" if approved is not None else f" (it is {draft.run.metadata.annotations[APPROVED][:_QUOTED]!r})"
        message = f'iteration {iteration} waits for approval: set the annotation {APPROVED} to "{iteration}"{wrong}'
        return Wait(iteration, Reason.WAITING_FOR_APPROVAL, message)
    opens = schedule.opens_at(since)
    if opens is None or draft.due(opens, 0):
        return None
    return Wait(iteration, Reason.WAITING_FOR_SCHEDULE, f"iteration {iteration} starts at {opens.isoformat()}")


def _leave(draft: Draft) -> None:
    """The time spent waiting counts as little against the run's deadline as time spent suspended."""
    if draft.waiting_since is not None:
        # Nor does what passed before the run began.
        since = max(draft.waiting_since, draft.started_at or draft.now)
        draft.suspended_seconds += (draft.now - since).total_seconds()
        draft.waiting_since = None
