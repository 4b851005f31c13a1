"""The memory that servers and trainings take, of GPUs and of hosts.

What a training holds from its first step to its last, and what is served, is :mod:`selfreward.render.memory`'s, which
refuses what cannot fit; here come activations on top, and the cache.
"""

from __future__ import annotations

from typing import Final

from selfreward_steps.contract import (
    EXAMPLES_UNMEASURED,
    WEIGHT_BYTES,
    DpoSettings,
    MemoryLimit,
    ModelShape,
    Precision,
    PromptGenerator,
    TrainingSettings,
    cache_tokens,
    even_examples,
    examples_that_fit,
    saved_bytes_per_token,
    served_share,
    states_bytes,
)

from selfreward.api import SelfRewardRunSpec
from selfreward.estimate.hardware import Gpu

GIB: Final = 1 << 30
_TRAINER_BASE: Final = 2 * GIB
"""A process with torch, transformers and TRL, before it has read a weight."""
_CLIENT_BASE: Final = GIB // 4
"""A process that asks a server."""


def cache_of(gpu: Gpu, shape: ModelShape, tensor_parallel: int, engines: int = 1) -> float:
    """Tokens that the cache of keys and values holds of each of a server's engines; 0 where the weights leave no
    room."""
    share = served_share(gpu.memory, engines)
    return cache_tokens(gpu.memory, tensor_parallel, shape.weight_bytes, shape.cache_bytes_per_token, share)


def served_bytes(gpu: Gpu, engines: int) -> float:
    """Memory of each GPU that a server of so many engines holds while it is awake."""
    return engines * gpu.memory * served_share(gpu.memory, engines)


def longest_example(spec: SelfRewardRunSpec, settings: TrainingSettings) -> int:
    """Tokens of the longest example that there may be: a prompt that a model writes has an end of its own."""
    if not isinstance(settings, DpoSettings) or spec.prompts.generator is PromptGenerator.FILE:
        return settings.max_length
    return min(settings.max_length, spec.prompts.sampling.max_tokens + spec.responses.sampling.max_tokens)


def example_bytes(shape: ModelShape, settings: TrainingSettings, longest: int) -> float:
    """What a forward pass keeps for its backward of one of its `longest` examples."""
    halves, checkpointing = settings.precision is not Precision.FP32, settings.gradient_checkpointing
    sequences = 2 if isinstance(settings, DpoSettings) else 1
    return sequences * longest * saved_bytes_per_token(shape, halves=halves, checkpointing=checkpointing)


def training_bytes(shape: ModelShape, settings: TrainingSettings, limit: MemoryLimit, longest: int) -> float:
    """The most that a training takes of each GPU, with a batch of its `longest` examples."""
    halves = settings.precision is not Precision.FP32
    states = states_bytes(shape, limit.bytes_per_parameter, processes=limit.processes, halves=halves)
    each = example_bytes(shape, settings, longest)
    fitting = EXAMPLES_UNMEASURED if settings.learns_by_pass else examples_that_fit(limit.gpu_bytes, states, each)
    share = settings.batch_size // limit.processes
    return states + even_examples(share, settings.per_device_batch_size or fitting) * each


def training_host_bytes(shape: ModelShape, processes: int) -> float:
    """Of the node with the first process, which gathers the trained weights in float32 and writes them into a model
    that it opens in float32."""
    return processes * _TRAINER_BASE + 2 * WEIGHT_BYTES * shape.parameters


def client_host_bytes() -> float:
    """Of a step that asks a server."""
    return float(_CLIENT_BASE)


def import_host_bytes(shape: ModelShape) -> float:
    """Of the import, which opens a model without its weights where nothing has to be changed in them."""
    return _TRAINER_BASE + shape.weight_bytes
