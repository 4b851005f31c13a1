"""The resource: `SelfRewardRun`, `selfreward.dev/v1alpha1`.

The lowest room: types, defaults and validation. It does no I/O but reading the file it is given to load.
"""

from selfreward.api.annotations import APPROVED, PAUSED, RETRY, numbered
from selfreward.api.gates import ACCEPTED, GateAction, Gates
from selfreward.api.run import API_VERSION, GROUP, KIND, PLURAL, VERSION, ObjectMeta, SelfRewardRun
from selfreward.api.schedule import Schedule
from selfreward.api.spec import (
    ChildPolicy,
    Deadlines,
    DeletionPolicy,
    Retry,
    SelfRewardRunSpec,
    Serving,
    ServingEngine,
    ServingKeep,
    Storage,
    SuspendPolicy,
    Training,
    TrainingBackend,
)
from selfreward.api.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    IterationStatus,
    Keeping,
    Phase,
    Reason,
    RunStatus,
    ServingState,
    ServingStatus,
    StepState,
    StepStatus,
)
from selfreward.api.workloads import Resources, Workload, Workloads

__all__ = [
    "ACCEPTED",
    "API_VERSION",
    "APPROVED",
    "GROUP",
    "KIND",
    "PAUSED",
    "PLURAL",
    "RETRY",
    "VERSION",
    "ChildPolicy",
    "Condition",
    "ConditionStatus",
    "ConditionType",
    "Deadlines",
    "DeletionPolicy",
    "GateAction",
    "Gates",
    "IterationStatus",
    "Keeping",
    "ObjectMeta",
    "Phase",
    "Reason",
    "Resources",
    "Retry",
    "RunStatus",
    "Schedule",
    "SelfRewardRun",
    "SelfRewardRunSpec",
    "Serving",
    "ServingEngine",
    "ServingKeep",
    "ServingState",
    "ServingStatus",
    "StepState",
    "StepStatus",
    "Storage",
    "SuspendPolicy",
    "Training",
    "TrainingBackend",
    "Workload",
    "Workloads",
    "numbered",
]
