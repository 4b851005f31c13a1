"""Starting what may start: the intent of an attempt, and the commands that carry intents out.

An intent is written to status before anything is created; a child that an intent names and nobody has seen is
created, again and again, under its one name. So a walker may die at any moment.
"""

from __future__ import annotations

from collections.abc import Iterator

from selfreward_steps.contract import InputRef

from selfreward.api import ServingState, StepState
from selfreward.plan.draft import Draft
from selfreward.plan.names import step_name
from selfreward.plan.turns import Turn, is_ready, may_start
from selfreward.plan.types import CreateServing, CreateStep, EventReason, Graph, Node


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
    digests = _committed(draft)
    for serving in draft.servings.values():
        if serving.state is ServingState.STARTING and serving.child_uid is None:
            yield CreateServing(serving.child, serving.model, serving.attempt, digests.get(serving.model))
    producers: dict[str, Node] = {}
    for node in draft.graph.nodes:
        row = draft.rows[node.key]
        if row.state is StepState.STARTING and row.child is not None:
            producers = producers or _producers(draft.graph)
            yield CreateStep(row.child, node.key, row.attempt, _inputs(node, producers, digests))


def _inputs(node: Node, producers: dict[str, Node], digests: dict[str, str]) -> dict[str, InputRef]:
    return {role: _input(node, artifact, producers[artifact], digests) for role, artifact in node.inputs.items()}


def _input(node: Node, artifact: str, producer: Node, digests: dict[str, str]) -> InputRef:
    """The artifact with its digest pinned, so that a step reads what was decided on.

    Between steps of as many shards, shard i reads shard i alone, which may not be there yet: nothing to pin.
    """
    paired = producer.shards is not None and producer.shards == node.shards
    return InputRef(artifact=artifact, digest=None if paired else digests[artifact], shards=producer.shards)


def _producers(graph: Graph) -> dict[str, Node]:
    return {artifact: node for node in graph.nodes for artifact in node.outputs}


def _committed(draft: Draft) -> dict[str, str]:
    """Digest by artifact, of all steps that succeeded."""
    return {
        artifact: digest
        for row in draft.rows.values()
        if row.state is StepState.SUCCEEDED
        for artifact, digest in row.outputs.items()
    }
