"""Single moments of a run, for rules that are told by one decision: what was written, what is seen, what follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from plan.runs import a_run
from plan.walk import rows
from selfreward.api import (
    IterationStatus,
    Keeping,
    RunStatus,
    SelfRewardRun,
    ServingState,
    ServingStatus,
    StepState,
    StepStatus,
)
from selfreward.plan import (
    ChildKind,
    ChildPhase,
    ChildProgress,
    CreateServing,
    Decision,
    Failure,
    Observed,
    ObservedChild,
    Obstacle,
    Quota,
    build_graph,
    decide,
    step_name,
)
from selfreward_steps.contract import FailureClass, StepResult

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    """A moment before now."""
    return NOW - timedelta(seconds=seconds)


def digest(artifact: str) -> str:
    """What the store says of a committed artifact."""
    return f"sha256:{artifact}"


@dataclass
class Scene:
    """A run whose steps up to some point have succeeded, and the world around it. Change it, then :meth:`decide`."""

    run: SelfRewardRun
    children: list[ObservedChild] = field(default_factory=list)
    committed: dict[str, str] = field(default_factory=dict)
    shards: dict[str, int] = field(default_factory=dict)
    obstacles: tuple[Obstacle, ...] = ()
    measured: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    keeping: Keeping = Keeping.NEVER
    quota: Quota | None = None
    now: datetime = NOW

    def row(self, key: str) -> StepStatus:
        """A row as it is written."""
        return rows(self.run.status)[key]

    def put(self, key: str, **changes: Any) -> Scene:
        """Write a row."""
        iterations = [
            IterationStatus(
                number=part.number,
                steps=[row.model_copy(update=changes) if row.key == key else row for row in part.steps],
            )
            for part in self.run.status.iterations
        ]
        return self.status(iterations=iterations)

    def status(self, **changes: Any) -> Scene:
        """Write other parts of status."""
        self.run = self.run.model_copy(update={"status": self.run.status.model_copy(update=changes)})
        return self

    def spec(self, **changes: Any) -> Scene:
        """Change the spec as the user would."""
        metadata = self.run.metadata.model_copy(update={"generation": self.run.metadata.generation + 1})
        spec = self.run.spec.model_copy(update=changes)
        self.run = self.run.model_copy(update={"spec": spec, "metadata": metadata})
        return self

    def active(self, key: str, state: StepState = StepState.RUNNING, **changes: Any) -> Scene:
        """Write a step that is under way, in its first attempt."""
        name = step_name("run", key, 1)
        uid = f"uid-{key}" if state is StepState.RUNNING else None
        begun = {"state": state, "attempt": 1, "child": name, "child_uid": uid, "started_at": ago(50)}
        return self.put(key, **(begun | changes))

    def child(self, key: str, phase: ChildPhase, *, failure: Failure | None = None, **changes: Any) -> Scene:
        """Let the child of a step's first attempt be seen; `failure` is that of its only pod."""
        changes |= {"failures": (failure,)} if failure is not None else {}
        node = build_graph(self.run.spec).node(key)
        known = {"name": step_name("run", key, 1), "uid": f"uid-{key}", "kind": node.kind, "created_at": ago(50)}
        self.children.append(ObservedChild(**(known | {"phase": phase, "key": key} | changes)))
        return self

    def serving(self, model: str, state: ServingState, **changes: Any) -> Scene:
        """Write a server's entry."""
        known = {"model": model, "child": f"run-serve-{model}-a1", "child_uid": f"uid-{model}", "since": ago(20)}
        entry = ServingStatus(**(known | {"state": state} | changes))
        return self.status(servings=[*self.run.status.servings, entry])

    def server(self, model: str, phase: ChildPhase, *, failure: Failure | None = None, **changes: Any) -> Scene:
        """Let the child of a server's first attempt be seen; `failure` is that of its only pod."""
        changes |= {"failures": (failure,)} if failure is not None else {}
        known = {"name": f"run-serve-{model}-a1", "uid": f"uid-{model}", "created_at": ago(20), "model": model}
        self.children.append(ObservedChild(**(known | {"kind": ChildKind.SERVING, "phase": phase} | changes)))
        return self

    def served(self, model: str) -> Scene:
        """A server that answers, written and seen."""
        return self.serving(model, ServingState.READY).server(model, ChildPhase.READY)

    def commit(self, *artifacts: str) -> Scene:
        """Let artifacts be in the store."""
        self.committed.update({artifact: digest(artifact) for artifact in artifacts})
        return self

    def later(self, seconds: float) -> Scene:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
        return self

    def decide(self) -> Decision:
        """Ask."""
        seen = Observed(
            tuple(self.children),
            self.committed,
            self.shards,
            self.obstacles,
            self.keeping,
            self.measured,
            self.quota,
        )
        return decide(self.run, seen, self.now)

    def accept(self, decision: Decision) -> Scene:
        """Write what was decided."""
        self.run = self.run.model_copy(update={"status": decision.status})
        return self


def scene(before: str = "", **spec: Any) -> Scene:
    """A run in which every step before the given one (in the graph's order) has succeeded; none without it."""
    run = a_run(**spec)
    is_done, iterations = bool(before), dict[int, list[StepStatus]]()
    for node in build_graph(run.spec).nodes:
        is_done = is_done and node.key != before
        row = StepStatus(key=node.key, step=node.step)
        if is_done:
            outputs = {artifact: digest(artifact) for artifact in node.outputs}
            done = {"state": StepState.SUCCEEDED, "attempt": 1, "outputs": outputs, "finished_at": ago(100)}
            row = row.model_copy(update=done)
        iterations.setdefault(node.iteration, []).append(row)
    status = RunStatus(
        observed_generation=1,
        started_at=ago(1000) if before else None,
        iterations=[IterationStatus(number=number, steps=steps) for number, steps in iterations.items()],
    )
    return Scene(run.model_copy(update={"status": status}))


def row(decision: Decision, key: str) -> StepStatus:
    """A row of the status to write."""
    return rows(decision.status)[key]


def serving(decision: Decision, model: str) -> ServingStatus | None:
    """A server's entry in the status to write."""
    return next((entry for entry in decision.status.servings if entry.model == model), None)


def created(decision: Decision) -> list[str]:
    """What is created: step keys, and `serve-MODEL`."""
    return [f"serve-{new.model}" if isinstance(new, CreateServing) else new.key for new in decision.create]


def deleted(decision: Decision) -> list[str]:
    """Names of the children that are deleted."""
    return [command.name for command in decision.delete]


def failure(kind: FailureClass, reason: str = "ExitCode", message: str = "exit code 1") -> Failure:
    """What the cluster says of a failed child."""
    return Failure(kind, reason, message)


def result(key: str, **changes: Any) -> StepResult:
    """What a pod of a step says at its end."""
    told = {"step": key.rsplit("-", 1)[0] if key[-1].isdigit() else key, "succeeded": True, "reason": "Committed"}
    return StepResult.model_validate(told | changes)


def progress(done: int, at: datetime, total: int | None = 100) -> ChildProgress:
    """A progress line."""
    return ChildProgress(done, total, "candidates", {"tokens_per_second": 12.0}, at)
