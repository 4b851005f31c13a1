"""Leftover children, which must go: of attempts that are over, and of servers that nobody needs or remembers.

Ended children are kept, for their logs, while they are a step's last word, unless the user wants them gone; they hold
no GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from selfreward.api import ChildPolicy, ServingState, StepState, StepStatus
from selfreward.plan.draft import ACTIVE, Draft
from selfreward.plan.graph import ChildKind
from selfreward.plan.types import DeleteChild, ObservedChild

LINGER_SECONDS: Final = 30
"""How long a child may go on after its output is committed: it says how it went, its peers finish."""


def deletions(draft: Draft) -> Iterator[DeleteChild]:
    """A command for each child that must go and is not going yet."""
    for child in draft.observed.children:
        why = _serving_over(draft, child) if child.kind is ChildKind.SERVING else _step_over(draft, child)
        if why and not child.deleting:
            yield DeleteChild(child.name, child.uid, child.kind, why)


def _serving_over(draft: Draft, child: ObservedChild) -> str:
    """Why a server must go; empty when it may stay."""
    # Not by the model that it serves: an engine that was handed over may not have heard of it yet.
    serving = next((each for each in draft.servings.values() if draft.serving_child(each) is child), None)
    if serving is None:
        return "belongs to no current attempt"
    return "not needed" if serving.state is ServingState.STOPPING else ""


def _step_over(draft: Draft, child: ObservedChild) -> str:
    """Why a step's child must go; empty when it may stay."""
    row = draft.rows.get(child.key)
    if row is None or draft.child(row) is not child:
        return "belongs to no current attempt"
    if row.state in ACTIVE:
        return ""
    if child.phase.is_terminal:
        wanted = draft.run.spec.deletion_policy.children is ChildPolicy.DELETE
        return "deletionPolicy.children: Delete" if wanted and row.state is StepState.SUCCEEDED else ""
    if row.state is StepState.SUCCEEDED:
        return "its output is committed" if _lingered(draft, row) else ""
    return "its step failed"


def _lingered(draft: Draft, row: StepStatus) -> bool:
    return row.finished_at is None or draft.due(row.finished_at, LINGER_SECONDS)
