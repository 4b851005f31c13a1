"""The artifacts that a walker must look up in the store before a decision."""

from __future__ import annotations

from selfreward.api import RunStatus, StepState
from selfreward.plan.graph.nodes import Graph, Node


def artifacts_to_observe(graph: Graph, status: RunStatus) -> dict[str, int | None]:
    """The artifacts that a decision asks about, with their shards.

    Those of steps that have started or could start, or whose numbers nobody has told yet, and no others, so that the
    number of look-ups stays small however long the run: what a succeeded step committed stands in its row.
    """
    rows = {row.key: row for iteration in status.iterations for row in iteration.steps}
    done = {key for key, row in rows.items() if row.state is StepState.SUCCEEDED}
    told = {key for key in done if rows[key].metrics or rows[key].child is None or status.finished_at is not None}
    begun = done | {key for key, row in rows.items() if row.attempt > 0}

    def may_start(node: Node) -> bool:
        return done.issuperset(node.after) and begun.issuperset(node.after_first_shard)

    return {
        artifact: node.shards
        for node in graph.nodes
        if node.key not in told and (node.key in begun or may_start(node))
        for artifact in node.outputs
    }
