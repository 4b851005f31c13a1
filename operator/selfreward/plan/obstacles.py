"""Obstacles: what keeps a run from going on until somebody mends it. The run is Stalled then, and says what it is.

An obstacle is no failure: nothing is given up and no attempt is counted, and the run goes on by itself once the
obstacle is gone. This module must not look for obstacles in a cluster, only weigh those that were observed.
"""

from __future__ import annotations

from typing import Final

from selfreward.api import ConditionType, Reason, ServingState
from selfreward.plan.draft import Draft
from selfreward.plan.types import Obstacle

LASTING_SECONDS: Final = 30
"""How long an obstacle must last before it is told: an image pull may fail once, one refusal may be a hiccup."""
REFUSED_SECONDS: Final = 20
"""The same of what a walker was refused: it has asked more than once by then, further and further apart."""
_FAILED_STARTS: Final = 2
"""Starts of a server that must have failed: one may be chance."""
_REFUSED: Final = frozenset({Reason.REFUSED, Reason.NAME_TAKEN, Reason.TRAINING_OPERATOR_MISSING})
"""Reasons of obstacles that a walker meets when it acts, and so does not know of before it has acted once."""


def note_obstacle(draft: Draft, *, acts: bool) -> None:
    """Note what somebody must mend; `acts` is whether this decision creates or deletes anything.

    Asked once it is clear what the decision asks for.
    """
    if draft.finished_at is None and draft.suspended_at is None:
        draft.obstacle = _lasting(draft) or _failing_server(draft) or (_told_refusal(draft) if acts else None)


def _lasting(draft: Draft) -> Obstacle | None:
    """The first of the observed obstacles that has lasted."""
    lasting = [each for each in draft.observed.obstacles if draft.due(each.since, _patience(each))]
    return next(iter(lasting), None)


def _patience(obstacle: Obstacle) -> int:
    return REFUSED_SECONDS if obstacle.reason in _REFUSED else LASTING_SECONDS


def _failing_server(draft: Draft) -> Obstacle | None:
    """A server that has failed to start more than once: the model does not load, or the command is wrong."""
    for serving in draft.servings.values():
        if serving.state is not ServingState.READY and serving.failures >= _FAILED_STARTS:
            why = f": {serving.reason}: {serving.message}" if serving.message else ""
            message = f"spec.serving: the server of {serving.model} did not come up {serving.failures} times{why}"
            return Obstacle(Reason.SERVING_FAILED, message, serving.since)
    return None


def _told_refusal(draft: Draft) -> Obstacle | None:
    """What an earlier decision was refused, as the status tells it.

    Walkers remember refusals in memory. One that has just begun (a new leader) has none, and must not say that all is
    well before it has done what was refused.
    """
    told = draft.status.true_condition(ConditionType.STALLED)
    if told is None or told.reason not in _REFUSED:
        return None
    return Obstacle(Reason(told.reason), told.message, told.last_transition_time)
