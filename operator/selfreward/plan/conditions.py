"""The run's conditions: kstatus' three (`Ready`, `Reconciling`, `Stalled`) and our own.

kstatus decides what `helm --wait` and Flux think. As with a Job, a run is Ready once it has started, for nobody
waits two days for an upgrade; it is Reconciling before, and Stalled when it failed or when somebody must mend
something before it goes on. It is not Ready while it waits for an approval, or was never let go. Reasons come from the
closed list :class:`selfreward.api.Reason`. This module must not decide anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from selfreward.api import (
    ACCEPTED,
    Condition,
    ConditionStatus,
    ConditionType,
    Reason,
    RunStatus,
    ServingState,
    StepState,
)
from selfreward.api.status import MAX_MESSAGE
from selfreward.plan.draft import ACTIVE, Draft
from selfreward.plan.types import Obstacle


@dataclass(frozen=True, slots=True)
class Story:
    """The state of a run in one word, and why it is so in one line."""

    reason: Reason
    message: str = ""


def tell_story(draft: Draft) -> Story:
    """The story that a person should be told first, obstacles aside."""
    if draft.failure is not None:
        return Story(draft.failure.reason, draft.failure.message)
    if draft.is_complete():
        return _end_story(draft)
    if draft.suspended_at is not None:
        return _suspension_story(draft)
    return _serving_story(draft) or _step_story(draft) or Story(Reason.PENDING, "nothing has started yet")


def conditions(draft: Draft, story: Story) -> list[Condition]:
    """All conditions, always in the same order; a transition time changes only with its status.

    An obstacle takes the place of `story` in those that it decides.
    """
    failed, complete = draft.failure is not None, draft.is_complete()
    suspended = draft.suspended_at is not None
    has_started = _has_started(draft) or complete
    facts = {
        ConditionType.READY: has_started and not failed and story.reason is not Reason.WAITING_FOR_APPROVAL,
        ConditionType.RECONCILING: not has_started and not suspended and not failed,
        ConditionType.STALLED: failed,
        ConditionType.SUCCEEDED: complete,
        ConditionType.FAILED: failed,
        ConditionType.SUSPENDED: suspended,
        ConditionType.PROGRESSING: story.reason in (Reason.RUNNING, Reason.WAITING_FOR_SERVING),
    }
    writer = _Writer(draft.status, draft.run.metadata.generation, draft.now)
    found = [writer.condition(kind, fact, story, is_told=fact or kind in _ALWAYS_TOLD) for kind, fact in facts.items()]
    found += _gate_condition(draft, writer)
    return found if draft.obstacle is None else writer.stalled(found, draft.obstacle)


def stalled_status(status: RunStatus, obstacle: Obstacle, generation: int, now: datetime) -> RunStatus:
    """The status of a run of which nothing more can be decided: its spec cannot be read, or its store refuses.

    The very object that was given when it says so already, so that nothing is written.
    """
    told = _Writer(status, generation, now).stalled(status.conditions, obstacle)
    written = status.model_copy(update={"conditions": told, "observed_generation": generation})
    return status if written == status else written


_ALWAYS_TOLD: Final = (ConditionType.READY, ConditionType.PROGRESSING)
"""Conditions whose message says why, also when they do not hold."""
_STALLED: Final = {
    ConditionType.READY: False,
    ConditionType.RECONCILING: False,
    ConditionType.STALLED: True,
    ConditionType.PROGRESSING: False,
}
"""The conditions that an obstacle decides."""


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes conditions after those of an earlier status."""

    before: RunStatus
    generation: int
    now: datetime

    def condition(self, kind: ConditionType, holds: bool, story: Story, *, is_told: bool) -> Condition:
        status = ConditionStatus.TRUE if holds else ConditionStatus.FALSE
        old = next((each for each in self.before.conditions if each.type is kind), None)
        return Condition(
            type=kind,
            status=status,
            reason=story.reason,
            message=_cut(story.message) if is_told else "",
            observed_generation=self.generation,
            last_transition_time=old.last_transition_time if old is not None and old.status is status else self.now,
        )

    def stalled(self, conditions: Iterable[Condition], obstacle: Obstacle) -> list[Condition]:
        """The conditions, with those that the obstacle decides laid over them."""
        story = Story(obstacle.reason, obstacle.message)
        told = {each.type: each for each in conditions}
        told |= {kind: self.condition(kind, fact, story, is_told=True) for kind, fact in _STALLED.items()}
        return [told[kind] for kind in ConditionType if kind in told]


def _gate_condition(draft: Draft, writer: _Writer) -> list[Condition]:
    """`GateTripped`, which is not there until a gate trips and stays from then on; the newest is told first."""
    kind = ConditionType.GATE_TRIPPED
    if not draft.tripped and all(old.type is not kind for old in draft.status.conditions):
        return []
    told = "; ".join(each.message for each in reversed(draft.tripped))
    story = Story(Reason.GATE_TRIPPED, told) if draft.tripped else Story(Reason.GATES_KEPT)
    return [writer.condition(kind, bool(draft.tripped), story, is_told=bool(draft.tripped))]


def _end_story(draft: Draft) -> Story:
    stopped = draft.stopping
    if stopped is None:
        return Story(Reason.COMPLETED, "the last model is committed")
    return Story(Reason.STOPPED_BY_GATE, f"ended with {stopped.last_good}, the last good model: {stopped.message}")


def _suspension_story(draft: Draft) -> Story:
    if draft.run.spec.suspend or not draft.pausing:
        return Story(Reason.SUSPENDED_BY_USER, "spec.suspend is true")
    last = max(each.iteration for each in draft.pausing)
    why = "; ".join(each.message for each in draft.pausing)
    accept = f'to go on all the same, set the annotation {ACCEPTED} to "{last}"'
    return Story(Reason.PAUSED_BY_GATE, f"{_cut(why, MAX_MESSAGE - len(accept) - 2)}; {accept}")


def _has_started(draft: Draft) -> bool:
    """Whether a child was ever seen, since the run began or was tried again."""
    ready = (old for old in draft.status.conditions if old.type is ConditionType.READY)
    return any(old.status is ConditionStatus.TRUE for old in ready) or any(
        row.child_uid is not None or row.state is StepState.SUCCEEDED for row in draft.rows.values()
    )


def _serving_story(draft: Draft) -> Story | None:
    """A server that steps wait for, and why it does not answer yet."""
    for serving in draft.servings.values():
        if serving.state is ServingState.STARTING or serving.retry_at is not None:
            return Story(Reason.WAITING_FOR_SERVING, f"serving of {serving.model}: {serving.message or 'starting'}")
    return None


def _step_story(draft: Draft) -> Story | None:
    active = [row for row in draft.rows.values() if row.state in ACTIVE]
    if active:
        told = (f"{row.key} ({row.message})" if row.message else row.key for row in active)
        return Story(Reason.RUNNING, ", ".join(told))
    for row in draft.rows.values():
        if row.state is StepState.WAITING and row.retry_at is not None:
            return Story(Reason.WAITING_FOR_RETRY, f"{row.key}: {row.reason}: {row.message}")
    if draft.wait is not None:
        return Story(draft.wait.reason, draft.wait.message)
    # Between two steps, while a server stops.
    return Story(Reason.RUNNING, "between steps") if draft.started_at is not None else None


def _cut(message: str, limit: int = MAX_MESSAGE) -> str:
    return message if len(message) <= limit else message[: limit - 1] + "…"
