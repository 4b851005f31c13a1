"""The start of steps and servers: the intent of an attempt, and the commands that carry intents out.

An intent is written to status before anything is created; a child that an intent names and nobody has seen is
created, again and again, under its one name. So a walker may die at any moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from selfreward_steps.contract import CACHE_BYTES_PER_TOKEN, PARAMETERS, StepName, artifact_names

from selfreward.api import ServingState, StepState
from selfreward.plan.draft import Draft
from selfreward.plan.graph import committed_digests, pinned_inputs
from selfreward.plan.names import step_name
from selfreward.plan.turns import Turn, is_ready, may_start
from selfreward.plan.types import CreateServing, CreateStep, EventReason, ModelSize

_OF_THEIR_OWN: Final = frozenset({artifact_names.JUDGE_MODEL, artifact_names.EVALUATION_JUDGE})
"""Models that are not trained from the base model."""


def start_ready(draft: Draft, turn: Turn) -> None:
    """Write the intent of every attempt that may start now. Children of earlier attempts must be gone first."""
    for node in draft.graph.nodes:
        if not is_ready(draft, node):
            continue
        row = draft.rows[node.key]
        due = row.retry_at is None or draft.due(row.retry_at, 0)
        if not due or node.key in draft.step_children or not may_start(draft, node, turn):
            continue
        attempt = row.attempt + 1
        draft.put(
            row,
            state=StepState.STARTING,
            attempt=attempt,
            child=step_name(draft.run.metadata.name, node.key, attempt),
            started_at=draft.now,
            retry_at=None,
            reason="",
            message="",
        )
        draft.started_at = draft.started_at or draft.now
        draft.tell(EventReason.STEP_STARTED, f"{node.key}, attempt {attempt}")


def creations(draft: Draft) -> Iterator[CreateStep | CreateServing]:
    """A command for each intent whose child has not been seen yet."""
    digests = committed_digests(draft.rows.values())
    for serving in draft.servings.values():
        if serving.state is ServingState.STARTING and serving.child_uid is None:
            digest = digests.get(serving.model)
            size = _size(draft, serving.model)
            yield CreateServing(serving.child, serving.model, serving.attempt, digest, serving.keeping, size)
    for node in draft.graph.nodes:
        row = draft.rows[node.key]
        if row.state is not StepState.STARTING or row.child is None:
            continue
        inputs = pinned_inputs(draft.graph, node, digests)
        if inputs is not None:
            yield CreateStep(row.child, node.key, row.attempt, inputs)


def _size(draft: Draft, model: str) -> ModelSize | None:
    """The size of a model that was trained from the base model, as the import told it, or of that itself."""
    imported = draft.rows.get(StepName.IMPORT)
    told = {} if imported is None or model in _OF_THEIR_OWN else imported.metrics
    if told.get(PARAMETERS, 0) < 1 or told.get(CACHE_BYTES_PER_TOKEN, 0) < 1:
        return None
    return ModelSize(int(told[PARAMETERS]), int(told[CACHE_BYTES_PER_TOKEN]))
