"""The reservation of a run that queues as a whole: when it is asked for, and when it is given back.

It is held from before the first child until after the last one: what is at work without it takes what the queue has
promised to others. While a run is suspended, waits for its schedule or has ended, others have it. This module must not
know which queue it is.
"""

from __future__ import annotations

from typing import Final

from selfreward.api import Reason
from selfreward.plan.draft import Draft, Wait
from selfreward.plan.turns import is_ready
from selfreward.plan.types import QuotaAction, QuotaState

SECONDS: Final = 10
"""Between two looks at a reservation that is not held: no watch tells of it."""
SOON_SECONDS: Final = 1
"""The same right after it was asked for."""


def lacks_quota(draft: Draft) -> bool:
    """Whether the run reserves what it needs and does not hold it."""
    return draft.observed.quota is not None and not draft.observed.quota.is_held


def quota_wait(draft: Draft) -> Wait | None:
    """The wait for the queue, in which nothing of any iteration starts."""
    quota = draft.observed.quota
    if quota is None or quota.is_held:
        return None
    draft.due(draft.now, SOON_SECONDS if quota.state is QuotaState.ABSENT else SECONDS)
    return Wait(0, Reason.WAITING_FOR_QUOTA, quota.message or "spec.reservation waits in its queue")


def quota_action(draft: Draft) -> QuotaAction | None:
    """What to do about the reservation. Nothing is given back while a child may still be at work."""
    quota = draft.observed.quota
    if quota is None:
        return None
    needed = draft.finished_at is None and draft.suspended_at is None and not _waits_otherwise(draft)
    idle = not draft.servings and not any(draft.active_nodes())
    idle = idle and all(child.phase.is_terminal for child in draft.observed.children)
    match quota.state:
        case QuotaState.ABSENT:
            return QuotaAction.RESERVE if needed and idle else None
        case QuotaState.WAITING:
            return None if needed else QuotaAction.RELEASE
        case QuotaState.LOST:
            return None if not idle else QuotaAction.YIELD if needed else QuotaAction.RELEASE
        case QuotaState.ADMITTED | QuotaState.HELD:
            if not needed and idle:
                return QuotaAction.RELEASE
            return QuotaAction.CONFIRM if quota.state is QuotaState.ADMITTED else None


def _waits_otherwise(draft: Draft) -> bool:
    """Whether there is nothing to do before the time of the next iteration has come, or its approval."""
    if draft.wait is None or draft.wait.reason is Reason.WAITING_FOR_QUOTA:
        return False
    return not any(is_ready(draft, node) for node in draft.graph.nodes)
