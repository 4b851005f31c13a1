"""Deadlines of an attempt and of the run, and the detection of hangs.

The operator keeps these itself, since a PyTorchJob does not keep its own (seen with training-operator v1.9.4).
Each rule compares a moment in status or of a child with now, and asks to be woken when it will next matter.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from selfreward_steps.contract import FailureClass

from selfreward.api import Reason, ServingState, StepStatus
from selfreward.plan.draft import Draft
from selfreward.plan.graph import Node
from selfreward.plan.types import Failure, ObservedChild

COMMIT_SECONDS: Final = 60
"""How long a child that ended well may be ahead of its output's appearance in the store."""


def late_start(draft: Draft, row: StepStatus, child: ObservedChild | None) -> Failure | None:
    """A pod that does not come to run: no node, no image, a quota. Infrastructure, since waiting may help.

    Counted from the attempt's last sign of life, for a pod may also go back to pending (preemption, a requeue).
    """
    seconds = draft.run.spec.deadlines.start
    admitted_at = None if child is None else child.admitted_at
    if child is not None and child.queued:
        return None
    if not draft.due(_latest(row.started_at, row.running_at, row.progressed_at, admitted_at), seconds):
        return None
    why = child.waiting if child is not None and child.waiting else "no pod runs"
    message = f"not running after {seconds} s (deadlines.start): {why}"
    return Failure(FailureClass.INFRASTRUCTURE, Reason.START_DEADLINE_EXCEEDED, message)


def overrun(draft: Draft, row: StepStatus) -> Failure | None:
    """A running attempt that takes longer than any should."""
    seconds = draft.run.spec.deadlines.step
    if not draft.due(_latest(row.running_at), seconds):
        return None
    message = f"still running after {seconds} s (deadlines.step)"
    return Failure(FailureClass.APPLICATION, Reason.DEADLINE_EXCEEDED, message)


def silence(draft: Draft, node: Node, row: StepStatus, child: ObservedChild) -> Failure | None:
    """A running attempt that says nothing any more: it hangs.

    A client whose server is away has nothing to say; its silence counts from when the server answers again.
    """
    last = _latest(row.running_at, row.progressed_at, child.progress.at if child.progress else None)
    if node.serving is not None:
        serving = draft.servings.get(node.serving)
        if serving is None or serving.state is not ServingState.READY:
            return None
        last = max(last, serving.since)
    seconds = draft.run.spec.deadlines.progress
    if not draft.due(last, seconds):
        return None
    return Failure(FailureClass.APPLICATION, Reason.NO_PROGRESS, f"silent for {seconds} s (deadlines.progress)")


def missing_output(draft: Draft, row: StepStatus) -> Failure | None:
    """A child that ended well while its output is not in the store; `finished_at` is when that was first seen."""
    if row.finished_at is None:
        row = draft.put(row, finished_at=draft.now)
    if not draft.due(_latest(row.finished_at), COMMIT_SECONDS):
        return None
    message = f"ended well, but {COMMIT_SECONDS} s later its output is not in the store"
    return Failure(FailureClass.APPLICATION, Reason.NOT_COMMITTED, message)


def check_run(draft: Draft) -> None:
    """Fail a run that takes too long. The time it was suspended, waited for `spec.schedule` or was finished does not
    count."""
    seconds = draft.run.spec.deadlines.run
    is_held = draft.suspended_at is not None or draft.waiting_since is not None
    if seconds is None or draft.started_at is None or is_held or draft.is_complete():
        return
    if draft.due(draft.started_at, seconds + draft.suspended_seconds):
        draft.fail(Reason.DEADLINE_EXCEEDED, f"not finished after {seconds} s (deadlines.run)")


def _latest(*moments: datetime | None) -> datetime:
    return max(moment for moment in moments if moment is not None)
