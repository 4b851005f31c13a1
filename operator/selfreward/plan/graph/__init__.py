"""The graph of a run: which steps a spec asks for, what each reads and commits, and how its inputs are pinned."""

from selfreward.plan.graph.building import build_graph
from selfreward.plan.graph.evaluations import EVALUATION_IMPORT
from selfreward.plan.graph.inputs import committed_digests, paired_inputs, pinned_inputs
from selfreward.plan.graph.nodes import BASELINE_EVALUATION_KEY, ChildKind, Graph, Node, evaluation_key, step_key
from selfreward.plan.graph.observing import artifacts_to_observe
from selfreward.plan.graph.roles import has_seed, model_artifact

__all__ = [
    "BASELINE_EVALUATION_KEY",
    "EVALUATION_IMPORT",
    "ChildKind",
    "Graph",
    "Node",
    "artifacts_to_observe",
    "build_graph",
    "committed_digests",
    "evaluation_key",
    "has_seed",
    "model_artifact",
    "paired_inputs",
    "pinned_inputs",
    "step_key",
]
