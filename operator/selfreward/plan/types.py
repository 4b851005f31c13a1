"""The arguments and the answer of the decision function: plain frozen data.

No I/O, no clock, no randomness anywhere in this room: the walkers observe, ask, persist and act.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from selfreward_steps.contract import FailureClass, InputRef, StepResult

from selfreward.api import Keeping, Reason, RunStatus
from selfreward.plan.graph import ChildKind


class ChildPhase(StrEnum):
    """The phase of a child, as the cluster sees it."""

    PENDING = "Pending"
    RUNNING = "Running"
    READY = "Ready"
    """It answers; only servers are ever in this phase."""
    ASLEEP = "Asleep"
    """It holds no GPU and answers nobody until it is given a model; only kept engines are ever in this phase."""
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"

    @property
    def is_terminal(self) -> bool:
        """Whether the child's processes have ended."""
        return self in (ChildPhase.SUCCEEDED, ChildPhase.FAILED)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a pod or a whole child failed, classified by the cluster (exit code, eviction, image pull, …)."""

    failure_class: FailureClass
    reason: str
    message: str
    reported: bool = False
    """Whether the step itself said so; otherwise the cluster concludes it from how the pod ended."""

    @classmethod
    def reported_by(cls, result: StepResult | None) -> Failure | None:
        """What a step said of its own failure; None when it said nothing or succeeded."""
        if result is None or result.succeeded:
            return None
        return cls(result.failure_class or FailureClass.APPLICATION, result.reason, result.message, reported=True)


@dataclass(frozen=True, slots=True)
class ChildProgress:
    """The newest progress line of a child; of a sharded one, summed over its shards."""

    done: int
    total: int | None
    unit: str
    metrics: Mapping[str, float]
    at: datetime


@dataclass(frozen=True, slots=True)
class ObservedChild:
    """One workload of the run, as it is now."""

    name: str
    uid: str
    kind: ChildKind
    phase: ChildPhase
    created_at: datetime
    key: str = ""
    """The step it belongs to; empty for a serving."""
    model: str = ""
    """The model a serving serves, or was told to serve; empty for a step."""
    attempt: int = 1
    running_at: datetime | None = None
    progress: ChildProgress | None = None
    results: tuple[StepResult, ...] = ()
    """What its pods have reported so far."""
    failures: tuple[Failure, ...] = ()
    """One for each pod that failed; which of them counts is decided in :mod:`selfreward.plan.failures`."""
    waiting: str = ""
    """Why it is not running or ready, in the user's words."""
    queued: bool = False
    """Whether a queue before the cluster holds it back: no fault, so no deadline counts."""
    admitted_at: datetime | None = None
    """When the queue let it go."""
    deleting: bool = False
    outdated: bool = False
    """Whether the spec now asks for another image, other resources or another place than it was created with."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a run from going on that only somebody can mend."""

    reason: Reason
    message: str
    """One line: the field, what is wrong with it."""
    since: datetime
    """When the obstacle was first seen."""


class QuotaState(StrEnum):
    """What a queue says of the run's reservation."""

    ABSENT = "Absent"
    """There is none."""
    WAITING = "Waiting"
    ADMITTED = "Admitted"
    """The run may go on, and the queue has not heard yet that it does."""
    HELD = "Held"
    LOST = "Lost"
    """The queue takes it back, and waits until nothing of the run is at work."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The reservation of a run that reserves what it needs as a whole."""

    state: QuotaState
    message: str = ""
    """Why it is not held, in the queue's words."""

    @property
    def is_held(self) -> bool:
        """Whether the run may use it."""
        return self.state in (QuotaState.ADMITTED, QuotaState.HELD)


class QuotaAction(StrEnum):
    """What to do about the reservation."""

    RESERVE = "Reserve"
    """Ask for it."""
    CONFIRM = "Confirm"
    """Say that the run goes on."""
    YIELD = "Yield"
    """Let go what the queue takes back; the place in the queue stays."""
    RELEASE = "Release"
    """Give it back: the run needs nothing for now."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The world as a walker sees it at one moment."""

    children: tuple[ObservedChild, ...] = ()
    committed: Mapping[str, str] = field(default_factory=dict)
    """Digest by artifact, of those asked for (:func:`selfreward.plan.artifacts_to_observe`). A sharded artifact
    stands here, under its folder's name, once all its shards are committed. Only what is the run's own: an artifact
    that an older run of the same name left behind with other settings has another inputs digest in its manifest
    and must not be listed, since what is listed is taken as this run's result."""
    shards_committed: Mapping[str, int] = field(default_factory=dict)
    """Number of committed shards of each sharded artifact, by its folder."""
    obstacles: tuple[Obstacle, ...] = ()
    """What the cluster sees, or has refused the walker; the first is told first."""
    keeping: Keeping = Keeping.NEVER
    """What this place can do with a server's engine between two turns."""
    measured: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    """Numbers by committed artifact, as the manifests of it or of its shards keep them."""
    quota: Quota | None = None
    """The reservation; None for a run that makes none."""


@dataclass(frozen=True, slots=True)
class CreateStep:
    """The command to create the child of one attempt at a step."""

    name: str
    key: str
    attempt: int
    inputs: Mapping[str, InputRef]


@dataclass(frozen=True, slots=True)
class ModelSize:
    """What a server's command line hangs on of its model."""

    parameters: int
    cache_bytes_per_token: int
    """Keys and values of one token, in bfloat16."""


@dataclass(frozen=True, slots=True)
class CreateServing:
    """The command to create the server of a model."""

    name: str
    model: str
    attempt: int
    digest: str | None
    """Digest of the model artifact."""
    keeping: Keeping = Keeping.NEVER
    """What the engine must be able to do between two turns."""
    size: ModelSize | None = None
    """None where nobody has told."""


@dataclass(frozen=True, slots=True)
class AssignModel:
    """The command to a kept engine that runs: serve this model from now on, or sleep."""

    name: str
    uid: str
    model: str | None
    """None: sleep, and hold no GPU."""
    attempt: int = 1
    digest: str | None = None
    """Digest of the model artifact."""


@dataclass(frozen=True, slots=True)
class DeleteChild:
    """The command to delete one child, if it still has this uid."""

    name: str
    uid: str
    kind: ChildKind
    reason: str


class EventReason(StrEnum):
    """Kinds of events in a run's life: closed and documented like the conditions' reasons."""

    STEP_STARTED = "StepStarted"
    STEP_SUCCEEDED = "StepSucceeded"
    STEP_RETRIED = "StepRetried"
    """An attempt failed and there will be another."""
    STEP_FAILED = "StepFailed"
    ITERATION_WAITING = "IterationWaiting"
    """The next iteration waits for its time or for approval."""
    TRAINING_OPERATOR_MISSING = "TrainingOperatorMissing"
    """The run has begun, and the cluster cannot run its training yet."""
    QUEUE_MAY_NOT_APPLY = "QueueMayNotApply"
    """The run has begun with a queue that may not manage its training jobs."""
    ENGINE_NOT_KEPT = "EngineNotKept"
    """The run has begun, and the spec asks to keep servers' engines where this cluster cannot."""
    SERVING_STARTED = "ServingStarted"
    SERVING_READY = "ServingReady"
    SERVING_RETRIED = "ServingRetried"
    GATE_TRIPPED = "GateTripped"
    """A step's numbers do not keep to `spec.gates`."""
    QUOTA_WAITING = "QuotaWaiting"
    """The run waits until its queue admits its reservation."""
    RUN_SUSPENDED = "RunSuspended"
    RUN_RESUMED = "RunResumed"
    RUN_REOPENED = "RunReopened"
    """A finished run goes on: iterations were raised, or the spec was repaired."""
    ARTIFACTS_LEFT = "ArtifactsLeft"
    """The run is deleted, and artifacts that were to go with it stay: the message says why."""
    RUN_SUCCEEDED = "RunSucceeded"
    RUN_FAILED = "RunFailed"


@dataclass(frozen=True, slots=True)
class RunEvent:
    """An event in a run's life, for an Event of Kubernetes or a line in a log."""

    reason: EventReason
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer of the decision function. The walker writes `status` first, and deletes and creates only when that
    write holds."""

    status: RunStatus
    create: tuple[CreateStep | CreateServing, ...] = ()
    assign: tuple[AssignModel, ...] = ()
    delete: tuple[DeleteChild, ...] = ()
    quota: QuotaAction | None = None
    events: tuple[RunEvent, ...] = ()
    requeue_after: float | None = None
    """Seconds until time alone may change the decision (a deadline, a retry); None when only the world can. 0 asks
    to look up :func:`selfreward.plan.artifacts_to_observe` anew and decide again at once."""
