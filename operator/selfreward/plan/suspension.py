"""Suspension of a run, at once or at the next step boundary, and its end.

A failed run holds still in the same way. This module must not know why a run failed.
"""

from __future__ import annotations

from enum import StrEnum

from selfreward.api import StepState, SuspendPolicy
from selfreward.plan.draft import Draft
from selfreward.plan.types import EventReason


class Hold(StrEnum):
    """How much of the walk is allowed."""

    NOTHING = "Nothing"
    """Nothing is held: steps run and start."""
    STARTS = "Starts"
    """What runs may end; nothing starts."""
    ALL = "All"
    """Everything is held: what runs is halted, nothing starts."""


def hold_of(draft: Draft) -> Hold:
    """What the spec, a failure or a tripped gate holds back."""
    spec = draft.run.spec
    if (
        draft.failure is not None
        or draft.stopping is not None
        or (spec.suspend and spec.suspend_policy is SuspendPolicy.IMMEDIATE)
    ):
        return Hold.ALL
    return Hold.STARTS if spec.suspend or draft.pausing else Hold.NOTHING


def halt_steps(draft: Draft) -> None:
    """Take every attempt back. It counts neither as a failure nor as part of a streak of faults."""
    for node in list(draft.active_nodes()):
        draft.put(
            draft.rows[node.key],
            state=StepState.WAITING,
            child=None,
            child_uid=None,
            metrics={},
            progress=None,
            running_at=None,
            progressed_at=None,
            finished_at=None,
            infrastructure_since=None,
            reason="",
            message="",
        )


def note_suspension(draft: Draft) -> None:
    """Start the clock of suspension once nothing runs any more; stop it when the run may go on.

    Asked before the deadline of the run is looked at, and again when it is clear what runs.
    """
    asked = draft.run.spec.suspend or bool(draft.pausing)
    held = asked and draft.failure is None and draft.stopping is None and not draft.has_all()
    if held and draft.suspended_at is None and not any(draft.active_nodes()):
        draft.suspended_at = draft.now
        draft.tell(EventReason.RUN_SUSPENDED, "suspended" if draft.run.spec.suspend else "paused by a gate")
    elif not held and draft.suspended_at is not None:
        draft.suspended_seconds += (draft.now - draft.suspended_at).total_seconds()
        draft.suspended_at = None
        draft.tell(EventReason.RUN_RESUMED, "resumed")
