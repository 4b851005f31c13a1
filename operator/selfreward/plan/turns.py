"""Turns on the GPUs: one server or one training at a time, so that the smallest machine can walk every graph.

They take turns (TRL issue 3050: GPUs must not idle between phases; nor may two models need more of them than there
are). The holder keeps its turn as long as it is of use:

1. The first running step, in the graph's order, that trains or talks to a server has the turn. So steps that run
   on a server end before a training starts, and evaluation delays DPO rather than being thrown away.
2. With none running, a server that is up keeps the turn while a step that could start now, or will within
   :data:`HOLD_SECONDS`, needs it: bringing a model up costs more than it waits.
3. Otherwise the first step, in the graph's order, that could start now has it. An evaluation stands back while a
   step of the main line will need the same server: it runs beside that step then, and the model is loaded once; and
   while one will try again within :data:`HOLD_SECONDS`.

A turn ends, since a server's steps are finitely many, each tried finitely often; and the graph's order puts what
others wait for first. So nothing starves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from selfreward_steps.contract import StepName

from selfreward.api import ServingState, StepState
from selfreward.plan.draft import ACTIVE, Draft
from selfreward.plan.engines import leaves_gpus
from selfreward.plan.gates import awaits_numbers
from selfreward.plan.graph import ChildKind, Node

HOLD_SECONDS: Final = 60
"""A server is kept this long for a step that waits for its next attempt."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The holder of the GPUs: a model's server, or a training step, or nobody."""

    model: str | None = None
    training: str | None = None


NOBODY: Final = Turn()


def choose_turn(draft: Draft, *, starting: bool) -> Turn:
    """Whose turn it is; with `starting` false (suspended, failed) only what runs already can have it."""
    contenders = [node for node in draft.graph.nodes if node.needs_gpus]
    for node in contenders:
        if draft.rows[node.key].state in ACTIVE:
            return _turn_of(node)
    if not starting:
        return NOBODY
    waiting = [node for node in contenders if is_ready(draft, node)]
    for node in waiting:
        if node.serving in draft.servings and _waits_at_most(draft, node, HOLD_SECONDS):
            return _turn_of(node)
    due = [node for node in waiting if _waits_at_most(draft, node, 0)]
    first = next((node for node in due if not _can_ride_along(draft, node)), None) or next(iter(due), None)
    later = [node for node in waiting if node not in due]
    if first is None or (first.step is StepName.EVALUATE and _main_line_is_soon(draft, later)):
        return NOBODY
    return _turn_of(first)


def is_ready(draft: Draft, node: Node) -> bool:
    """Whether the step waits for nothing but its turn, its server and the time of its next attempt."""
    return (
        draft.rows[node.key].state is StepState.WAITING
        and not draft.is_passed_over(node)
        and (draft.wait is None or node.iteration != draft.wait.iteration)
        and all(draft.rows[key].state is StepState.SUCCEEDED and not awaits_numbers(draft, key) for key in node.after)
        and all(_has_shard(draft, key) for key in node.after_first_shard)
    )


def may_start(draft: Draft, node: Node, turn: Turn) -> bool:
    """Whether a ready step may start now, as far as GPUs are concerned."""
    if node.kind is ChildKind.TRAINING:
        return turn.training == node.key and leaves_gpus(draft) and not draft.training_lives()
    if node.serving is None:
        return True
    serving = draft.servings.get(node.serving)
    return turn.model == node.serving and serving is not None and serving.state is ServingState.READY


def _turn_of(node: Node) -> Turn:
    return Turn(training=node.key) if node.kind is ChildKind.TRAINING else Turn(model=node.serving)


def _waits_at_most(draft: Draft, node: Node, seconds: float) -> bool:
    retry_at = draft.rows[node.key].retry_at
    return retry_at is None or (retry_at - draft.now).total_seconds() <= seconds


def _can_ride_along(draft: Draft, node: Node) -> bool:
    """Whether this is an evaluation whose server will come up for another step anyway."""
    return node.step is StepName.EVALUATE and any(
        other.serving == node.serving
        and other.step is not StepName.EVALUATE
        and draft.rows[other.key].state is not StepState.SUCCEEDED
        for other in draft.graph.nodes
    )


def _main_line_is_soon(draft: Draft, later: Sequence[Node]) -> bool:
    """Whether a step that models depend on, of those that wait for their next attempt, does not wait for long."""
    return any(node.step is not StepName.EVALUATE and _waits_at_most(draft, node, HOLD_SECONDS) for node in later)


def _has_shard(draft: Draft, key: str) -> bool:
    if draft.rows[key].state is StepState.SUCCEEDED:
        return True
    return draft.observed.shards_committed.get(draft.graph.node(key).output, 0) > 0
