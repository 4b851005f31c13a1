"""The artifacts that a step reads, each pinned to the digest that was decided on.

The decision that creates a step and the check whether a committed artifact is the run's own must pin the same inputs,
so both ask here. This module must not know why a step may start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from selfreward_steps.contract import InputRef

from selfreward.api import StepState, StepStatus
from selfreward.plan.graph.nodes import Graph, Node


def pinned_inputs(graph: Graph, node: Node, digests: Mapping[str, str]) -> dict[str, InputRef] | None:
    """The step's inputs by role; None while one of them is not among the committed `digests`.

    Between two steps of as many shards, shard i reads shard i alone, which may not be there yet: those have no digest.
    """
    paired = paired_inputs(graph, node)
    if any(artifact not in digests and artifact not in paired for artifact in node.inputs.values()):
        return None
    return {
        role: InputRef(
            artifact=artifact,
            digest=None if artifact in paired else digests[artifact],
            shards=graph.producers[artifact].shards,
        )
        for role, artifact in node.inputs.items()
    }


def paired_inputs(graph: Graph, node: Node) -> list[str]:
    """The sharded artifacts of which each of the step's own shards reads one shard."""
    if node.shards is None:
        return []
    return [artifact for artifact in node.inputs.values() if graph.producers[artifact].shards == node.shards]


def committed_digests(rows: Iterable[StepStatus]) -> dict[str, str]:
    """Digest by artifact, of all steps that succeeded."""
    return {
        artifact: digest for row in rows if row.state is StepState.SUCCEEDED for artifact, digest in row.outputs.items()
    }
