"""The disk that a run takes: what its steps commit to the store, and what they need beside it while they run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from selfreward_steps.contract import WEIGHT_BYTES, ModelShape, StepName

from selfreward.api import SelfRewardRunSpec
from selfreward.estimate.work import Work
from selfreward.plan.graph import ChildKind, Node

_BYTES_A_TOKEN: Final = 5.0
"""Of text in JSON, with the keys around it."""
_MOMENTS: Final = 3
"""A resumable checkpoint: the weights and Adam's two moments, in float32."""


def committed_bytes(spec: SelfRewardRunSpec, node: Node, work: Work, shapes: Mapping[str, ModelShape]) -> float:
    """What the step leaves in the store."""
    models = [shapes[artifact] for artifact in node.outputs if artifact in shapes]
    texts = (work.generation.prompt_tokens + work.generation.answer_tokens) * _BYTES_A_TOKEN
    if node.step is StepName.PAIRS:
        # Both answers of each pair, and the prompt.
        texts = spec.prompts.count * (spec.responses.sampling.max_tokens * _BYTES_A_TOKEN)
    return sum(shape.weight_bytes for shape in models) + texts


def scratch_bytes(spec: SelfRewardRunSpec, node: Node, work: Work, shape: ModelShape) -> float:
    """What the step needs on its node's disk while it runs, as the training itself asks for it."""
    if node.kind is not ChildKind.TRAINING:
        return shape.weight_bytes if node.step in (StepName.IMPORT, StepName.PUBLISH) else 0.0
    settings = spec.training.dpo if node.step is StepName.DPO else spec.training.sft
    weights = WEIGHT_BYTES * shape.parameters
    keeps = work.training.steps > settings.checkpoint_steps
    each = 0.0 if not keeps else weights / 2 if settings.lora else _MOMENTS * weights
    return weights + 2 * each
