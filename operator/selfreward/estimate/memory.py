"""The memory that servers and trainings take, of GPUs and of hosts.

What a training holds from its first step to its last, and what is served, is :mod:`selfreward.render.memory`'s, which
refuses what cannot fit; here come activations on top, and the cache.
"""

from __future__ import annotations

from typing import Final

from selfreward_steps.contract import DpoSettings, MemoryLimit, Precision, PromptGenerator, TrainingSettings

from selfreward.api import SelfRewardRunSpec
from selfreward.estimate.hardware import Gpu
from selfreward.estimate.shape import ModelShape

GIB: Final = 1 << 30
SERVED_SHARE: Final = 0.92
"""Of a GPU's memory that vLLM takes by itself, whatever it serves."""
ENGINE_BYTES: Final = 1 * GIB
"""Of that, what is neither weights nor cache: graphs and the largest activations (measured: 0.65 to 1.05 GiB)."""
_COMPUTED: Final = 2
"""Bytes of a weight in the format that is computed in, a copy that lasts from a forward pass to its backward."""
_TRAINER_BASE: Final = 2 * GIB
"""A process with torch, transformers and TRL, before it has read a weight."""
_CLIENT_BASE: Final = GIB // 4
"""A process that asks a server."""
_FLOAT: Final = 4


def cache_tokens(gpu: Gpu, shape: ModelShape, tensor_parallel: int) -> float:
    """Tokens that the server's cache of keys and values holds; 0 where the weights leave no room."""
    room = (gpu.memory * SERVED_SHARE - ENGINE_BYTES) * tensor_parallel - shape.weight_bytes
    return max(0.0, room) / shape.cache_bytes_per_token


def served_bytes(gpu: Gpu) -> float:
    """Memory of each GPU that a server holds while it is awake."""
    return gpu.memory * SERVED_SHARE


def longest_example(spec: SelfRewardRunSpec, settings: TrainingSettings) -> int:
    """Tokens of the longest example that there may be: a prompt that a model writes has an end of its own."""
    if not isinstance(settings, DpoSettings) or spec.prompts.generator is PromptGenerator.FILE:
        return settings.max_length
    return min(settings.max_length, spec.prompts.sampling.max_tokens + spec.responses.sampling.max_tokens)


def activation_bytes(shape: ModelShape, settings: TrainingSettings, longest: int) -> float:
    """What a forward pass keeps for its backward, of a batch of `longest` examples on one GPU.

    Measured with torch's own accounting of what autograd saves of a Llama, per token and layer: under bfloat16 30 bytes
    a channel, 4.5 a channel of keys, 8 a channel of the feed-forward part; in float32 32, 8.4 and 16. Checkpointing
    keeps a layer's input in float32, and all of one layer at a time. There are no logits in it: TRL 1.16 computes
    log-probabilities in tiles.
    """
    halves = settings.precision is not Precision.FP32
    hidden, keys, inner = (30.0, 4.5, 8.0) if halves else (32.0, 8.4, 16.0)
    layer = hidden * shape.hidden + keys * shape.key_value + inner * shape.inner
    sequences = settings.per_device_batch_size * (2 if isinstance(settings, DpoSettings) else 1)
    tokens = sequences * longest
    if settings.gradient_checkpointing:
        return tokens * (shape.layers * _FLOAT * shape.hidden + layer)
    return tokens * shape.layers * layer


def training_bytes(shape: ModelShape, settings: TrainingSettings, limit: MemoryLimit, longest: int) -> float:
    """The most that a training takes of each GPU, with a batch of its `longest` examples."""
    states = shape.parameters * limit.bytes_per_parameter / limit.processes
    # Sharded, the weights of one layer and of the next are gathered at a time.
    gathered = shape.parameters if limit.processes == 1 else 2 * shape.parameters / shape.layers
    copy = 0 if settings.precision is Precision.FP32 and limit.processes == 1 else _COMPUTED * gathered
    return states + copy + activation_bytes(shape, settings, longest)


def training_host_bytes(shape: ModelShape, processes: int) -> float:
    """Of the node with the first process, which gathers the trained weights in float32 and writes them into a model
    that it opens in float32."""
    return processes * _TRAINER_BASE + 2 * _FLOAT * shape.parameters


def client_host_bytes() -> float:
    """Of a step that asks a server."""
    return float(_CLIENT_BASE)


def import_host_bytes(shape: ModelShape) -> float:
    """Of the import, which opens a model without its weights where nothing has to be changed in them."""
    return _TRAINER_BASE + shape.weight_bytes
