"""Carrying out a decision: what it deletes, assigns and creates, on whatever cluster a run walks."""

from __future__ import annotations

from selfreward.api import SelfRewardRun
from selfreward.cluster.protocol import ActionRefused, Cluster
from selfreward.plan import CreateServing, CreateStep, Decision, Graph


async def carry_out(cluster: Cluster, run: SelfRewardRun, graph: Graph, decision: Decision) -> None:
    """Delete, assign and create what the decision says. Its status must have been written before.

    Deletions come first, since what is created may wait for the room they make. Each is tried, also after another has
    been refused; the first refusal is raised at the end.
    """
    refused: ActionRefused | None = None
    for child in decision.delete:
        try:
            await cluster.delete(run, child)
        except ActionRefused as error:
            refused = refused or error
    if decision.quota is not None:
        await cluster.settle_quota(run, decision.quota)
    for assign in decision.assign:
        await cluster.assign(run, assign)
    for create in decision.create:
        match create:
            case CreateStep():
                await cluster.create_step(run, graph.node(create.key), create)
            case CreateServing():
                await cluster.create_serving(run, create)
    if refused is not None:
        raise refused
