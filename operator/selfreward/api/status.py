"""The status of a run: all that must survive a restart of whoever walks it.

The durable state is `iterations[].steps[]` and `servings[]`. `phase`, `step` and `progress` are summaries for
people and printer columns; nothing reads them back.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field
from selfreward_steps.contract import ContractModel, StepName


class StepState(StrEnum):
    """Where a step stands. It only moves down this list, but for a retry, which goes back to `Waiting`."""

    WAITING = "Waiting"
    """Inputs, a server or the time of a retry are missing."""
    STARTING = "Starting"
    """The child is about to be created; written before it is, so that a crash between the two is harmless."""
    RUNNING = "Running"
    """The child exists; its uid is recorded."""
    SUCCEEDED = "Succeeded"
    """The output is committed."""
    FAILED = "Failed"
    """No further attempt will be made."""


class Progress(ContractModel):
    """How far a running step is."""

    done: int
    total: int | None = None
    unit: str = ""


class StepStatus(ContractModel):
    """One step of the graph."""

    key: str
    """Unique in the run: the step's name, with the iteration or model behind it (`dpo-2`, `evaluate-m1`)."""
    step: StepName
    state: StepState = StepState.WAITING
    attempt: int = 0
    """Number of the current attempt; 0 before the first."""
    failures: int = 0
    """Failures that count against the retry limit."""
    infrastructure_failures: int = 0
    """Failures of the infrastructure, which do not count."""
    infrastructure_since: datetime | None = None
    """When the present streak of infrastructure faults began."""
    child: str | None = None
    """Name of the current attempt's child."""
    child_uid: str | None = None
    """Uid of the current attempt's child, once it was seen."""
    outputs: dict[str, str] = {}
    """Digests of the committed artifacts, by name."""
    metrics: dict[str, float] = {}
    """Numbers that the step reports: its newest while it runs, its result's at the end."""
    progress: Progress | None = None
    """How far the current attempt is."""
    started_at: datetime | None = None
    """When the current attempt's intent was written."""
    running_at: datetime | None = None
    """When the current attempt's child was first seen running."""
    progressed_at: datetime | None = None
    """Time of the newest progress line that was written down."""
    finished_at: datetime | None = None
    retry_at: datetime | None = None
    """Earliest time of the next attempt."""
    reason: str = ""
    """Of the closed list in :class:`Reason`, or the step's own."""
    message: str = ""
    """One line for the user."""


class IterationStatus(ContractModel):
    """The steps of one iteration; number 0 is the way from the base model to M1."""

    number: Annotated[int, Field(ge=0)]
    steps: list[StepStatus] = []


class ServingState(StrEnum):
    """Where a server stands."""

    STARTING = "Starting"
    READY = "Ready"
    ASLEEP = "Asleep"
    """It holds no GPU: its engine waits for the next model's weights."""
    STOPPING = "Stopping"


class Keeping(StrEnum):
    """What becomes of a server's engine while something else has its turn on the GPUs."""

    NEVER = "Never"
    """It ends; each turn starts one."""
    AWAKE = "Awake"
    """It stays as it is, on GPUs or cores of its own, and takes the next model's weights."""
    ASLEEP = "Asleep"
    """It gives the GPUs back, and takes them again with the next model's weights."""


class ServingStatus(ContractModel):
    """One running server."""

    model: str
    """Artifact it serves, such as `m1`."""
    child: str
    child_uid: str | None = None
    state: ServingState = ServingState.STARTING
    since: datetime
    """When the state was entered."""
    attempt: int = 1
    keeping: Keeping = Keeping.NEVER
    """What becomes of its engine between two turns: what the place where it runs can do, unless `spec.serving.keep`
    forbids it. The name of a kept engine's child stays that of the first model it served."""
    failures: int = 0
    """Starts of the server that failed."""
    retry_at: datetime | None = None
    reason: str = ""
    message: str = ""
    """Why it is not ready yet, in the user's words."""


class Phase(StrEnum):
    """Phase of a run: a summary in one word."""

    PENDING = "Pending"
    SEEDING = "Seeding"
    ITERATING = "Iterating"
    WAITING = "Waiting"
    """Between two iterations: the next one waits for its time or for approval."""
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class ConditionType(StrEnum):
    """Types of a run's conditions; the first three are those of kstatus."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SUSPENDED = "Suspended"
    PROGRESSING = "Progressing"
    GATE_TRIPPED = "GateTripped"
    """Absent until a gate trips."""


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Reasons of conditions: closed and documented. A step's own reasons stand beside it in the step's row."""

    PENDING = "Pending"
    """Nothing has started yet."""
    RUNNING = "Running"
    """A step runs."""
    WAITING_FOR_SERVING = "WaitingForServing"
    """A server is starting."""
    WAITING_FOR_RETRY = "WaitingForRetry"
    """A step failed and waits for its next attempt."""
    WAITING_FOR_SCHEDULE = "WaitingForSchedule"
    """The next iteration starts at the time that `spec.schedule.cron` says."""
    WAITING_FOR_APPROVAL = "WaitingForApproval"
    """The next iteration starts when it is approved (`spec.schedule.approval`)."""
    WAITING_FOR_QUOTA = "WaitingForQuota"
    """The queue has not admitted the run's reservation (`spec.reservation`), or has taken it back."""
    COMPLETED = "Completed"
    """The last model is committed."""
    SUSPENDED_BY_USER = "SuspendedByUser"
    """`spec.suspend` is true."""
    GATE_TRIPPED = "GateTripped"
    """A number does not keep to `spec.gates`."""
    PAUSED_BY_GATE = "PausedByGate"
    """A tripped gate holds the run until somebody accepts it."""
    STOPPED_BY_GATE = "StoppedByGate"
    """A tripped gate has ended the run at its last good model."""
    GATES_KEPT = "GatesKept"
    """What tripped before does so no more."""
    STEP_FAILED = "StepFailed"
    """A step used up its retries."""
    CONFIGURATION_ERROR = "ConfigurationError"
    """A step says that the user must change something."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    """The run took longer than `deadlines.run`."""
    START_DEADLINE_EXCEEDED = "StartDeadlineExceeded"
    """A pod did not start in time."""
    NO_PROGRESS = "NoProgress"
    """A running step fell silent."""
    SERVING_FAILED = "ServingFailed"
    """A server did not become ready."""
    CHILD_LOST = "ChildLost"
    """A child vanished; infrastructure."""
    NOT_COMMITTED = "NotCommitted"
    """A child ended well but its output is not in the store."""
    SPEC_CHANGED = "SpecChanged"
    """A child that had not started was replaced by one of the changed spec."""
    INFRASTRUCTURE_TIMEOUT = "InfrastructureTimeout"
    """A step met nothing but infrastructure faults for too long."""
    INVALID_SPEC = "InvalidSpec"
    """The resource cannot be understood, or asks for what this operator does not have."""
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """A pod's image cannot be pulled."""
    SECRET_MISSING = "SecretMissing"
    """A pod cannot start without a Secret or a ConfigMap that is not there."""
    UNSCHEDULABLE = "Unschedulable"
    """No node has what a pod asks for."""
    CANNOT_START = "CannotStart"
    """The node cannot start a pod's container."""
    TRAINING_OPERATOR_MISSING = "TrainingOperatorMissing"
    """The cluster serves no resource type that could run training."""
    STORAGE_REFUSED = "StorageRefused"
    """The store does not answer, or refuses: no such bucket, no right to it, or what lies there is not this run's."""
    NAME_TAKEN = "NameTaken"
    """A name that the run needs belongs to an object of somebody else."""
    REFUSED = "Refused"
    """The API server refuses what the run needs: a quota, a policy, a missing right."""


MAX_MESSAGE: Final = 1024
"""Longest message of a condition, in characters."""


class Condition(ContractModel):
    """A Kubernetes condition."""

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: Annotated[str, Field(max_length=MAX_MESSAGE)] = ""
    observed_generation: int = 0
    last_transition_time: datetime


class RunStatus(ContractModel):
    """What happened to a run so far: its steps, its servers, and summaries of both."""

    observed_generation: int = -1
    """Generation that this status answers; -1 before the first look."""
    phase: Phase = Phase.PENDING
    """Summary: the run in one word."""
    iteration: int = 0
    """Summary: the iteration under way, 0 before the first."""
    step: str = ""
    """Summary: what runs now."""
    progress: str = ""
    """Summary: how far that step is, as done/total."""
    model: str = ""
    """Newest committed model, such as `m2`; the last good one when a gate has stopped the run."""
    pairs: int | None = None
    """Summary: preference pairs of the newest iteration."""
    judge_accuracy: str = ""
    """Summary: the newest model's pairwise accuracy as a judge."""
    artifacts: str = ""
    """URI of the run's folder in the store."""
    conditions: list[Condition] = []
    iterations: list[IterationStatus] = []
    servings: list[ServingStatus] = []
    started_at: datetime | None = None
    finished_at: datetime | None = None
    suspended_at: datetime | None = None
    waiting_since: datetime | None = None
    """Since when the next iteration waits for its time or for approval (`spec.schedule`)."""
    suspended_seconds: float = 0
    """Time spent suspended, or waiting for `spec.schedule`, so far; it does not count against the run's deadline."""

    def true_condition(self, kind: ConditionType) -> Condition | None:
        """The condition of that type, if it is true."""
        found = (each for each in self.conditions if each.type is kind and each.status is ConditionStatus.TRUE)
        return next(found, None)
