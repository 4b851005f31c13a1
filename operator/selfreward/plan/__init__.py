"""The graph of a run and the decisions that walk it: pure.

Spec, status, observed children and now go in; what to create, what to delete and the new status come out. No
I/O, no clock and no randomness anywhere in this room, so that every rule of the walk is tested in virtual time
and both walkers, on the cluster and on one machine, obey the same ones.
"""

from selfreward.plan.conditions import stalled_status
from selfreward.plan.decide import decide
from selfreward.plan.failures import EXCHANGE_FAILED, of_last_words
from selfreward.plan.gates import GateReading, gate_readings
from selfreward.plan.graph import (
    BASELINE_EVALUATION_KEY,
    EVALUATION_IMPORT,
    ChildKind,
    Graph,
    Node,
    artifacts_to_observe,
    build_graph,
    evaluation_key,
    has_seed,
    model_artifact,
    step_key,
)
from selfreward.plan.names import capped_name, serving_name, step_name
from selfreward.plan.reopening import retry_failed
from selfreward.plan.types import (
    AssignModel,
    ChildPhase,
    ChildProgress,
    CreateServing,
    CreateStep,
    Decision,
    DeleteChild,
    Failure,
    ModelSize,
    Observed,
    ObservedChild,
    Obstacle,
    Quota,
    QuotaAction,
    QuotaState,
    RunEvent,
)

__all__ = [
    "BASELINE_EVALUATION_KEY",
    "EVALUATION_IMPORT",
    "EXCHANGE_FAILED",
    "AssignModel",
    "ChildKind",
    "ChildPhase",
    "ChildProgress",
    "CreateServing",
    "CreateStep",
    "Decision",
    "DeleteChild",
    "Failure",
    "GateReading",
    "Graph",
    "ModelSize",
    "Node",
    "Observed",
    "ObservedChild",
    "Obstacle",
    "Quota",
    "QuotaAction",
    "QuotaState",
    "RunEvent",
    "artifacts_to_observe",
    "build_graph",
    "capped_name",
    "decide",
    "evaluation_key",
    "gate_readings",
    "has_seed",
    "model_artifact",
    "of_last_words",
    "retry_failed",
    "serving_name",
    "stalled_status",
    "step_key",
    "step_name",
]
