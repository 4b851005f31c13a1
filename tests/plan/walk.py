"""A walker in virtual time: observes, asks, persists, acts, and dies when its faults say so.

After every step it checks the invariants of a walk; whoever walks a :class:`World` with it need not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from plan.world import BEAT, World
from selfreward.api import (
    ConditionStatus,
    ConditionType,
    Keeping,
    RunStatus,
    SelfRewardRun,
    SelfRewardRunSpec,
    StepState,
    StepStatus,
)
from selfreward.plan import (
    AssignModel,
    ChildKind,
    Decision,
    DeleteChild,
    Graph,
    artifacts_to_observe,
    build_graph,
    decide,
)
from selfreward.plan.types import RunEvent

GPU_FREE_SECONDS = 60
"""Invariant 5."""


@dataclass
class Walk:
    """One run, walked through a world."""

    run: SelfRewardRun
    world: World
    events: list[RunEvent] = field(default_factory=list)
    history: list[RunStatus] = field(default_factory=list)
    wake: datetime | None = None
    """When the walker asked to be woken; only then, or when the world changes, does it decide again."""
    is_stale: bool = True
    _graph: tuple[SelfRewardRunSpec, Graph] | None = None

    @property
    def status(self) -> RunStatus:
        return self.run.status

    @property
    def graph(self) -> Graph:
        if self._graph is None or self._graph[0] is not self.run.spec:
            self._graph = (self.run.spec, build_graph(self.run.spec))
        return self._graph[1]

    def row(self, key: str) -> StepStatus:
        """The row of a step."""
        return rows(self.status)[key]

    def condition(self, kind: ConditionType) -> str:
        """`Status/Reason` of a condition."""
        found = next(condition for condition in self.status.conditions if condition.type is kind)
        return f"{found.status}/{found.reason}"

    def edit(self, **spec: Any) -> None:
        """Change the spec as the user would."""
        metadata = self.run.metadata.model_copy(update={"generation": self.run.metadata.generation + 1})
        changed = self.run.spec.model_copy(update=spec)
        self.run = self.run.model_copy(update={"spec": changed, "metadata": metadata})
        self.is_stale = True

    def rewrite(self, status: RunStatus) -> None:
        """Write a status from outside, as the command line does to retry."""
        self.run = self.run.model_copy(update={"status": status})
        self.is_stale = True

    def step(self) -> None:
        """One beat: decide and act if there is anything new, then let time pass."""
        if self.is_stale or (self.wake is not None and self.wake <= self.world.now):
            self.is_stale = not self._act(self._decide())
        self._check_world()
        if self.world.beat():
            self.is_stale = True

    def until(self, done: str, beats: int = 2_000) -> None:
        """Walk until a step is in some state (`dpo-1=Running`) or the run is `finished`, `suspended` or `quiet`."""
        for _ in range(beats):
            if self._is(done):
                return
            self.step()
        raise AssertionError(f"not {done} after {beats} beats: {self._told()}")

    def finish(self) -> None:
        """Walk to the end, and on until nothing moves any more."""
        self.until("finished")
        self.until("quiet")

    def _is(self, done: str) -> bool:
        match done.split("="):
            case ["finished"]:
                return self.status.finished_at is not None
            case ["suspended"]:
                return self.status.suspended_at is not None
            case ["quiet"]:
                return not self.is_stale and self.wake is None and not self.world.is_deleting
            case [key, state]:
                row = rows(self.status).get(key)
                return row is not None and row.state == state
        raise ValueError(done)

    def _decide(self) -> Decision:
        observed = self.world.observe(artifacts_to_observe(self.graph, self.status))
        decision = decide(self.run, observed, self.world.now)
        _check_monotonic(self.status, decision.status)
        if decision.requeue_after != 0:
            again = self.run.model_copy(update={"status": decision.status})
            repeated = decide(again, observed, self.world.now)
            assert repeated.status is decision.status, "status must be equal when nothing changed"
            assert (repeated.create, repeated.assign, repeated.delete) == (
                decision.create,
                decision.assign,
                decision.delete,
            )
            assert not repeated.events
            assert decision.requeue_after is None or decision.requeue_after > 0
        return decision

    def _act(self, decision: Decision) -> bool:
        """Persist, then delete and create; returns False when the walker was killed on the way."""
        if decision.status is not self.status:
            self.run = self.run.model_copy(update={"status": decision.status})
            self.history.append(decision.status)
            self.events.extend(decision.events)
        after = decision.requeue_after
        self.wake = None if after is None else self.world.now + timedelta(seconds=after)
        for number, command in enumerate((*decision.delete, *decision.assign, *decision.create)):
            if self.world.faults.dies_before(number):
                return False
            if isinstance(command, DeleteChild):
                self.world.delete(command)
            elif isinstance(command, AssignModel):
                self.world.assign(command)
            else:
                self._check_persisted(command.name)
                self.world.create(command, self.graph)
        return not self.world.faults.dies_before(-1)

    def _check_persisted(self, name: str) -> None:
        """What is created was written down before."""
        intents = {row.child for row in rows(self.status).values() if row.state is StepState.STARTING}
        assert name in intents | {serving.child for serving in self.status.servings}

    def _check_world(self) -> None:
        live = [child for child in self.world.children.values() if not child.seen.phase.is_terminal]
        keys = [child.seen.key for child in live if child.node is not None]
        assert len(keys) == len(set(keys)), "invariant 1: one live child a step"
        holders = [child.seen.name for child in live if child.holds_gpu]
        servers = [child.seen.name for child in live if child.seen.kind is ChildKind.SERVING]
        assert len(servers) <= 1, f"one engine at a time: {servers}"
        apart = self.world.keeping is Keeping.AWAKE
        sharing = [name for name in holders if not (apart and self.world.children[name].node is None)]
        assert len(sharing) <= 1, f"the GPUs have one holder: {holders}"
        still = self.status.finished_at or self.status.suspended_at
        if still is not None and (self.world.now - still).total_seconds() > GPU_FREE_SECONDS:
            assert not holders, "invariant 5: no GPU held"
        if not self.is_stale and self.wake is None and still is None:
            is_moving = live or self.world.is_deleting or self.world.late_commits
            assert is_moving, f"stuck: nothing moves and nobody will wake: {self._told()}"

    def _told(self) -> str:
        return next(condition.message for condition in self.status.conditions)


def rows(status: RunStatus) -> dict[str, StepStatus]:
    """The steps' rows by key."""
    return {row.key: row for iteration in status.iterations for row in iteration.steps}


def outputs(status: RunStatus) -> dict[str, str]:
    """Every artifact that the run committed, with its digest: what every schedule must agree on."""
    return {name: digest for row in rows(status).values() for name, digest in row.outputs.items()}


def _check_monotonic(old: RunStatus, new: RunStatus) -> None:
    """Invariant 4: status never goes backwards; every finished run has a reason."""
    assert new.iteration >= old.iteration
    assert new.observed_generation >= old.observed_generation
    assert new.suspended_seconds >= old.suspended_seconds
    before, after = rows(old), rows(new)
    for key, row in before.items():
        assert after[key].attempt >= row.attempt
        if row.state is StepState.SUCCEEDED:
            assert after[key].state is StepState.SUCCEEDED
            assert after[key].outputs == row.outputs
            assert after[key].finished_at == row.finished_at
    was = {condition.type: condition for condition in old.conditions}
    for condition in new.conditions:
        assert condition.reason
        earlier = was.get(condition.type)
        if earlier is not None and earlier.status is condition.status:
            assert condition.last_transition_time == earlier.last_transition_time
    ended = (ConditionType.SUCCEEDED, ConditionType.FAILED)
    verdicts = [c for c in new.conditions if c.type in ended and c.status is ConditionStatus.TRUE]
    assert len(verdicts) == (new.finished_at is not None)


def beats(seconds: float) -> int:
    """That many seconds of virtual time, in beats."""
    return int(seconds // BEAT)
