"""A run that waits for somebody: it is Stalled, and goes on by itself once the reason is mended.

Not a failure: nothing is given up and no attempt is counted. The conditions that say so are laid over the decided
ones, so that they go when the reason goes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from selfreward.api import Condition, ConditionStatus, ConditionType, RunStatus
from selfreward.cluster.kubernetes.obstacles import Obstacle

_TELLS: Final = {
    ConditionType.READY: ConditionStatus.FALSE,
    ConditionType.RECONCILING: ConditionStatus.FALSE,
    ConditionType.STALLED: ConditionStatus.TRUE,
    ConditionType.PROGRESSING: ConditionStatus.FALSE,
}
_MAX_MESSAGE: Final = 1024


def blocked_status(before: RunStatus, decided: RunStatus, block: Obstacle, generation: int, now: datetime) -> RunStatus:
    """`decided`, with the conditions of a run that waits for somebody. The very object `before` when that is what
    it says already, so that nothing is written."""
    since = {old.type: old for old in before.conditions}
    told = {each.type: each for each in decided.conditions}
    for kind, fact in _TELLS.items():
        old = since.get(kind)
        told[kind] = Condition(
            type=kind,
            status=fact,
            reason=block.reason,
            message=block.message[:_MAX_MESSAGE],
            observed_generation=generation,
            last_transition_time=old.last_transition_time if old is not None and old.status is fact else now,
        )
    order = [each for each in ConditionType if each in told]
    conditions = [told[each] for each in order]
    status = decided.model_copy(update={"conditions": conditions, "observed_generation": generation})
    return before if status == before else status
