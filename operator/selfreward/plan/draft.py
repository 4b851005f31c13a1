"""The draft of a decision: one place where the rules, each in a module of its own, read and note things.

It lives for one call of :func:`selfreward.plan.decide` and is the only thing in this room that changes. It must
not hold a rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from selfreward_steps.contract import StepName

from selfreward.api import (
    ConditionType,
    GateAction,
    Reason,
    RunStatus,
    SelfRewardRun,
    StepState,
    StepStatus,
)
from selfreward.api.status import ServingStatus
from selfreward.plan.graph import ChildKind, Graph, Node
from selfreward.plan.moments import later
from selfreward.plan.types import EventReason, Observed, ObservedChild, Obstacle, RunEvent

ACTIVE = frozenset({StepState.STARTING, StepState.RUNNING})
"""States in which a step has, or is about to have, a child."""


@dataclass(frozen=True, slots=True)
class RunFailure:
    """Why the whole run failed."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Tripped:
    """A gate that a step's numbers do not keep to."""

    gate: str
    """Field of `spec.gates`."""
    key: str
    """The step whose numbers they are."""
    iteration: int
    action: GateAction
    message: str
    is_accepted: bool
    """Whether somebody has looked at it and lets the run go on."""
    last_good: str
    """The model to end with, if the run ends here."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Why the next iteration may not start yet."""

    iteration: int
    reason: Reason
    message: str


@dataclass(slots=True)
class Draft:
    """What is known, and what has been decided so far."""

    run: SelfRewardRun
    status: RunStatus
    """The status that the decision starts from."""
    graph: Graph
    observed: Observed
    now: datetime
    rows: dict[str, StepStatus]
    """By key, in the graph's order; a row for each node."""
    servings: dict[str, ServingStatus]
    """Entries of servers, by model."""
    started_at: datetime | None
    finished_at: datetime | None
    suspended_at: datetime | None
    suspended_seconds: float
    waiting_since: datetime | None
    failure: RunFailure | None
    step_children: dict[str, list[ObservedChild]] = field(default_factory=dict)
    """Observed children by step; a step may have some of several attempts."""
    serving_children: list[ObservedChild] = field(default_factory=list)
    tripped: list[Tripped] = field(default_factory=list)
    wait: Wait | None = None
    obstacle: Obstacle | None = None
    """What somebody must mend before the run goes on."""
    events: list[RunEvent] = field(default_factory=list)
    alarm: datetime | None = None
    """Next moment at which time alone may change something."""

    def put(self, row: StepStatus, **changes: Any) -> StepStatus:
        """Note a step's new row; `changes` are fields of :class:`StepStatus`."""
        changed = row.model_copy(update=changes)
        self.rows[row.key] = changed
        return changed

    def put_serving(self, serving: ServingStatus, **changes: Any) -> ServingStatus:
        """Note a server's new entry; `changes` are fields of :class:`ServingStatus`."""
        changed = serving.model_copy(update=changes)
        self.servings[serving.model] = changed
        return changed

    def tell(self, reason: EventReason, message: str, *, warning: bool = False) -> None:
        """Note an event for the user."""
        self.events.append(RunEvent(reason, message, warning))

    def fail(self, reason: Reason, message: str) -> None:
        """Fail the run. The first failure is the one that is told: later ones follow from it."""
        if self.failure is None:
            self.failure = RunFailure(reason, message)
            self.tell(EventReason.RUN_FAILED, message, warning=True)

    def due(self, since: datetime, seconds: float) -> bool:
        """Whether `seconds` have passed since; otherwise the walker is asked to look again when they have."""
        at = later(since, seconds)
        if at <= self.now:
            return True
        if self.alarm is None or at < self.alarm:
            self.alarm = at
        return False

    def child(self, row: StepStatus) -> ObservedChild | None:
        """The child of the step's current attempt: by name and, once it is known, uid."""
        for child in self.step_children.get(row.key, ()):
            if child.name == row.child and row.child_uid in (None, child.uid):
                return child
        return None

    def serving_child(self, serving: ServingStatus) -> ObservedChild | None:
        """The child of a server's current attempt: by name and, once it is known, uid."""
        for child in self.serving_children:
            if child.name == serving.child and serving.child_uid in (None, child.uid):
                return child
        return None

    def active_nodes(self) -> Iterator[Node]:
        """Nodes of steps that have, or are about to have, a child."""
        return (node for node in self.graph.nodes if self.rows[node.key].state in ACTIVE)

    def training_lives(self) -> bool:
        """Whether the child of any training step may still hold a GPU."""
        return any(child.kind is ChildKind.TRAINING and not child.phase.is_terminal for child in self.observed.children)

    @property
    def pausing(self) -> list[Tripped]:
        """Gates that hold the run until somebody accepts them."""
        return [each for each in self.tripped if each.action is GateAction.PAUSE and not each.is_accepted]

    @property
    def stopping(self) -> Tripped | None:
        """The first gate that ends the run."""
        return next((each for each in self.tripped if each.action is GateAction.STOP), None)

    def has_all(self) -> bool:
        """Whether every step has succeeded that anything waits for."""
        done = {key for key, row in self.rows.items() if row.state is StepState.SUCCEEDED}
        return all(node.key in done or self.is_passed_over(node) for node in self.graph.nodes)

    def is_passed_over(self, node: Node) -> bool:
        """Whether this is an evaluation of which all readers have succeeded without it, as they do where there was no
        such step yet: a newer version must not begin anew what is finished."""
        readers = self.graph.readers.get(node.output, ()) if node.step is StepName.EVALUATE else ()
        return bool(readers) and all(self.rows[reader].state is StepState.SUCCEEDED for reader in readers)

    def is_complete(self) -> bool:
        """Whether every step has succeeded, or a gate has stopped the run, and no child is still about to say how it
        went."""
        if self.failure is not None or not (self.has_all() or self.stopping is not None):
            return False
        ended = (child.phase.is_terminal for children in self.step_children.values() for child in children)
        return self.finished_at is not None or (all(ended) and not any(self.active_nodes()))


def open_draft(run: SelfRewardRun, status: RunStatus, graph: Graph, observed: Observed, now: datetime) -> Draft:
    """A draft in which nothing has been decided yet."""
    written = {row.key: row for iteration in status.iterations for row in iteration.steps}
    draft = Draft(
        run=run,
        status=status,
        graph=graph,
        observed=observed,
        now=now,
        rows={node.key: _row(node, written.get(node.key)) for node in graph.nodes},
        servings={serving.model: serving for serving in status.servings},
        started_at=status.started_at,
        finished_at=status.finished_at,
        suspended_at=status.suspended_at,
        suspended_seconds=status.suspended_seconds,
        waiting_since=status.waiting_since,
        failure=_written_failure(status),
    )
    for child in observed.children:
        if child.kind is ChildKind.SERVING:
            draft.serving_children.append(child)
        else:
            draft.step_children.setdefault(child.key, []).append(child)
    return draft


def _row(node: Node, written: StepStatus | None) -> StepStatus:
    """The step's row as it was written, or a new one.

    A step that the spec now asks for more than it has committed (an import, of another dataset beside) has not
    succeeded: it goes again, and finds what it has done.
    """
    if written is None:
        return StepStatus(key=node.key, step=node.step)
    if written.state is StepState.SUCCEEDED and not written.outputs.keys() >= set(node.outputs):
        return StepStatus(key=node.key, step=node.step, attempt=written.attempt)
    return written


def _written_failure(status: RunStatus) -> RunFailure | None:
    """The failure that an earlier decision found; the condition `Failed` is its record."""
    told = status.true_condition(ConditionType.FAILED)
    return RunFailure(Reason(told.reason), told.message) if told is not None else None
