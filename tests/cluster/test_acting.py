"""Carrying out a decision, on any cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from render.cases import create_serving, create_step, run_of
from selfreward.api import RunStatus, SelfRewardRun
from selfreward.cluster.acting import carry_out
from selfreward.cluster.protocol import ActionRefused
from selfreward.plan import (
    AssignModel,
    ChildKind,
    CreateServing,
    CreateStep,
    Decision,
    DeleteChild,
    Graph,
    Node,
    Observed,
    build_graph,
)


@dataclass
class Noting:
    """A cluster that notes what it is asked and refuses some of it."""

    refused: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)

    async def observe(self, run: SelfRewardRun, graph: Graph, artifacts: Mapping[str, int | None]) -> Observed:
        return Observed()

    async def create_step(self, run: SelfRewardRun, node: Node, create: CreateStep) -> None:
        assert node.key == create.key
        self._ask(f"+{create.name}")

    async def create_serving(self, run: SelfRewardRun, create: CreateServing) -> None:
        self._ask(f"+{create.name}")

    async def assign(self, run: SelfRewardRun, assign: AssignModel) -> None:
        self._ask(f"{assign.name}={assign.model}")

    async def delete(self, run: SelfRewardRun, child: DeleteChild) -> None:
        self._ask(f"-{child.name}")

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self.refused:
            raise ActionRefused(what)


def decision(run: SelfRewardRun) -> Decision:
    _, step = create_step(run, "prompts-1")
    gone = tuple(DeleteChild(name, f"uid-{name}", ChildKind.JOB, "its step failed") for name in ("a", "b"))
    told = (AssignModel("engine", "uid", "m1"),)
    return Decision(RunStatus(), create=(step, create_serving(run, "m1")), assign=told, delete=gone)


ALL = ["-a", "-b", "engine=m1", "+demo-prompts-1-a1", "+demo-serve-m1-a1"]


async def test_deletions_make_room_first() -> None:
    run, cluster = run_of(), Noting()
    await carry_out(cluster, run, build_graph(run.spec), decision(run))
    assert cluster.asked == ALL


async def test_a_refused_deletion_holds_nothing_up_and_is_told() -> None:
    run, cluster = run_of(), Noting(refused=("-a", "-b"))
    with pytest.raises(ActionRefused, match="-a"):
        await carry_out(cluster, run, build_graph(run.spec), decision(run))
    assert cluster.asked == ALL
