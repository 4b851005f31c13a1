"""A simulated cluster and store in virtual time: children that live out their fates, beat by beat.

It stands where `cluster/` stands, and is as unfriendly: creates are answered late, deletions take time, jobs lie
about how they ended, servers die under their clients. It knows nothing of status and decisions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from plan.fake_child import FakeChild
from plan.faults import Fate, Faults
from selfreward.api import Keeping
from selfreward.plan import (
    AssignModel,
    ChildKind,
    ChildPhase,
    ChildProgress,
    CreateServing,
    CreateStep,
    DeleteChild,
    Failure,
    Graph,
    Node,
    Observed,
    ObservedChild,
)
from selfreward_steps.contract import FailureClass, InputRef, StepResult

BEAT = 10.0
"""Seconds of virtual time between two looks at the world."""
DELETION_BEATS = 2
PATIENCE_BEATS = 6
"""How long a client bears a server that does not answer."""
LOADING_BEATS = 2
DYING_BEATS = 3


@dataclass
class World:
    """Cluster, store and clock of one run."""

    faults: Faults
    now: datetime = datetime(2026, 3, 1, tzinfo=UTC)
    children: dict[str, FakeChild] = field(default_factory=dict)
    """By name."""
    committed: dict[str, str] = field(default_factory=dict)
    shards: dict[str, int] = field(default_factory=dict)
    """Committed shards by folder."""
    late_commits: list[tuple[datetime, FakeChild]] = field(default_factory=list)
    keeping: Keeping = Keeping.NEVER
    """What this world can do with engines."""
    exchanges: list[str] = field(default_factory=list)
    """`MODEL`s given to kept engines, and `sleep`, in order, those that failed too."""
    created: list[str] = field(default_factory=list)
    """Names of all children ever created, in order."""

    @property
    def is_deleting(self) -> bool:
        """Whether some child is on its way out."""
        return any(child.gone_in is not None for child in self.children.values())

    def observe(self, asked: dict[str, int | None]) -> Observed:
        """What a walker sees now, of the artifacts it asks for."""
        return Observed(
            children=tuple(child.seen for child in self.children.values() if child.seen_from <= self.now),
            committed={name: digest for name, digest in self.committed.items() if name in asked},
            shards_committed={name: count for name, count in self.shards.items() if name in asked},
            keeping=self.keeping,
        )

    def create(self, command: CreateStep | CreateServing, graph: Graph) -> None:
        """Create a child; a name that is taken is left as it is."""
        if command.name in self.children:
            return
        uid = f"uid-{len(self.created)}"
        self.created.append(command.name)
        seen_from = self.now + timedelta(seconds=BEAT * self.faults.lag())
        if isinstance(command, CreateServing):
            assert command.digest == self.committed[command.model]
            seen = self._new(command, uid, ChildKind.SERVING, model=command.model)
            fate = self.faults.serving(command.model, command.attempt)
            self.children[command.name] = FakeChild(seen, fate, seen_from)
            return
        node = graph.node(command.key)
        self._check_inputs(node, command)
        self.children[command.name] = FakeChild(
            self._new(command, uid, node.kind, key=node.key),
            self.faults.step(node.key, command.attempt),
            seen_from,
            node=node,
            digest=_digest(node, command),
            work=self.faults.beats(node.key),
        )

    def assign(self, command: AssignModel) -> None:
        """Tell an engine what to serve, if it is still the same; being told again changes nothing."""
        child = self.children.get(command.name)
        if child is None or child.seen.uid != command.uid or child.gone_in is not None or child.seen.phase.is_terminal:
            return
        assert command.model is None or command.digest == self.committed[command.model]
        child.told = command

    def delete(self, command: DeleteChild) -> None:
        """Begin to delete a child, if it is still the same."""
        child = self.children.get(command.name)
        if child is not None and child.seen.uid == command.uid and child.gone_in is None:
            child.gone_in = DELETION_BEATS
            child.seen = replace(child.seen, deleting=True)

    def beat(self) -> bool:
        """Let a beat pass; returns whether anything but the clock has changed."""
        before = self._snapshot()
        self.now += timedelta(seconds=BEAT)
        for at, late in list(self.late_commits):
            if at <= self.now:
                self.late_commits.remove((at, late))
                self._commit(late)
        for name, child in list(self.children.items()):
            child.age += 1
            if child.gone_in is not None:
                child.gone_in -= 1
                if child.gone_in == 0:
                    del self.children[name]
            elif child.told is not None and not child.seen.phase.is_terminal:
                self._exchange(child, child.told)
            elif not child.seen.phase.is_terminal:
                self._live(name, child)
        return self._snapshot() != before

    def _snapshot(self) -> object:
        return [child.seen for child in self.children.values() if child.seen_from <= self.now], dict(self.shards)

    def _new(
        self, command: CreateStep | CreateServing, uid: str, kind: ChildKind, key: str = "", model: str = ""
    ) -> ObservedChild:
        return ObservedChild(
            command.name, uid, kind, ChildPhase.PENDING, self.now, key=key, model=model, attempt=command.attempt
        )

    def _check_inputs(self, node: Node, command: CreateStep) -> None:
        """Invariant 2: what a step reads is committed, and is what was pinned."""
        assert command.inputs.keys() == node.inputs.keys()
        for reference in command.inputs.values():
            if reference.digest is None:
                assert reference.shards == node.shards
                assert self.shards[reference.artifact] > 0
            else:
                assert reference.digest == self.committed[reference.artifact]

    def _live(self, name: str, child: FakeChild) -> None:
        if child.seen.phase is ChildPhase.PENDING:
            if child.fate is Fate.NEVER_START:
                child.seen = replace(child.seen, waiting="no node has a free GPU")
            else:
                child.become(ChildPhase.RUNNING, self.now)
        elif child.fate is Fate.LOST and (child.node is not None or child.age >= DYING_BEATS):
            del self.children[name]
        elif child.node is None:
            self._serve(child)
        elif not self._is_served(child.node):
            child.starved += 1
            if child.starved >= PATIENCE_BEATS:
                unavailable = Failure(FailureClass.INFRASTRUCTURE, "ServingUnavailable", "the server is away")
                child.become(ChildPhase.FAILED, self.now, unavailable)
        elif child.fate is not Fate.HANG:
            child.starved = 0
            self._work(child, child.node)

    def _exchange(self, child: FakeChild, told: AssignModel) -> None:
        child.told = None
        if told.model is None:
            if child.seen.phase is not ChildPhase.ASLEEP:
                self.exchanges.append("sleep")
                child.become(ChildPhase.ASLEEP, self.now)
        elif child.seen.model != told.model or child.seen.phase is ChildPhase.ASLEEP:
            self.exchanges.append(told.model)
            child.fate = self.faults.exchange(told.model, self.exchanges.count(told.model))
            child.seen = replace(child.seen, model=told.model)
            child.become(ChildPhase.RUNNING, self.now)

    def _serve(self, child: FakeChild) -> None:
        died = Failure(FailureClass.APPLICATION, "ServerDied", "CUDA out of memory")
        match child.fate:
            case _ if child.seen.phase is ChildPhase.ASLEEP:
                pass
            case Fate.FAIL:
                child.become(ChildPhase.FAILED, self.now, died)
            case Fate.FAIL_PERMANENT:
                broken = Failure(FailureClass.PERMANENT, "ModelNotLoaded", "serving.args: unknown option --x")
                child.become(ChildPhase.FAILED, self.now, broken)
            case Fate.DIE if child.seen.phase is ChildPhase.READY and child.age >= DYING_BEATS:
                child.become(ChildPhase.FAILED, self.now, died)
            case Fate.NEVER_READY:
                child.seen = replace(child.seen, waiting="loading the model")
            case _ if child.seen.phase is ChildPhase.RUNNING and child.age >= LOADING_BEATS:
                child.become(ChildPhase.READY, self.now)

    def _is_served(self, node: Node) -> bool:
        return node.serving is None or any(
            child.seen.model == node.serving and child.seen.phase is ChildPhase.READY and child.gone_in is None
            for child in self.children.values()
        )

    def _work(self, child: FakeChild, node: Node) -> None:
        """One beat of work: a progress line, a few shards, and in the end the child's fate."""
        if node.output in self.committed and child.digest == self.committed[node.output]:
            child.done = child.work
        if child.done < child.work and not self._lacks_shard(child, node):
            child.done += 1
        self._say(child)
        if child.done == child.work and child.fate in (Fate.FAIL, Fate.EVICTED, Fate.FAIL_PERMANENT):
            self._fail(child, node)
            return
        if node.shards is not None:
            self._commit_shards(child, node)
        if child.done == child.work:
            self._end(child, node)

    def _lacks_shard(self, child: FakeChild, node: Node) -> bool:
        """Whether the next shard of answers is still to be written: judging waits in its pod."""
        if not node.after_first_shard:
            return False
        return self.shards.get(node.inputs["responses"], 0) * child.work < (child.done + 1) * (node.shards or 1)

    def _say(self, child: FakeChild) -> None:
        progress = ChildProgress(child.done, child.work, "beats", {"loss": 1.0}, self.now)
        child.seen = replace(child.seen, progress=progress)

    def _commit_shards(self, child: FakeChild, node: Node) -> None:
        shards = child.done * (node.shards or 1) // child.work
        if child.fate is not Fate.NO_COMMIT:
            self.shards[node.output] = max(shards, self.shards.get(node.output, 0))

    def _end(self, child: FakeChild, node: Node) -> None:
        match child.fate:
            case Fate.NO_COMMIT:
                pass
            case Fate.SLOW_COMMIT:
                self.late_commits.append((self.now + timedelta(seconds=3 * BEAT), child))
            case _:
                self._commit(child)
        if child.fate is Fate.LINGER:
            return
        metrics = {"beats": child.work, **self.faults.numbers(node.key)}
        result = StepResult(step=node.step, succeeded=True, reason="Committed", metrics=metrics)
        child.seen = replace(child.seen, results=(result,))
        if child.fate is Fate.SAY_FAILED:
            lie = Failure(FailureClass.APPLICATION, "PyTorchJobFailed", "a worker left before the others")
            child.become(ChildPhase.FAILED, self.now, lie)
        else:
            child.become(ChildPhase.SUCCEEDED, self.now)

    def _fail(self, child: FakeChild, node: Node) -> None:
        kind = FailureClass.INFRASTRUCTURE if child.fate is Fate.EVICTED else FailureClass.APPLICATION
        failure = Failure(kind, "Evicted" if child.fate is Fate.EVICTED else "ExitCode", f"{child.fate} at the end")
        if child.fate is Fate.FAIL_PERMANENT:
            told = StepResult(
                step=node.step,
                succeeded=False,
                reason="DatasetColumnMissing",
                message="seedData.instructions: no column 'messages'",
                failure_class=FailureClass.PERMANENT,
            )
            child.seen = replace(child.seen, results=(told,))
            failure = Failure.reported_by(told) or failure
        child.become(ChildPhase.FAILED, self.now, failure)

    def _commit(self, child: FakeChild) -> None:
        """Put-if-absent; invariant 3: what is committed never changes."""
        assert child.node is not None
        for artifact in child.node.outputs:
            digest = child.digest if artifact == child.node.output else f"{child.digest}/{artifact}"
            assert self.committed.setdefault(artifact, digest) == digest, artifact
        if child.node.shards is not None:
            self.shards[child.node.output] = child.node.shards


def _digest(node: Node, command: CreateStep) -> str:
    """What a step commits depends on what it reads and on nothing else, so every schedule ends alike."""

    def told(reference: InputRef) -> str:
        return f"{reference.artifact}@{reference.digest}"

    text = " ".join([node.key, *(told(command.inputs[role]) for role in sorted(command.inputs))])
    return sha256(text.encode()).hexdigest()
