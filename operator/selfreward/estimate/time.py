"""The time that work takes: of engines, of requests to them, of trainings. One formula each, and no other place has it.

What a GPU's data sheet says is used in shares of it; see :class:`Parameters` for what was measured and what assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from selfreward_steps.contract import ModelShape

from selfreward.estimate.hardware import Gpu
from selfreward.estimate.memory import cache_of
from selfreward.estimate.parameters import Parameters
from selfreward.estimate.work import Generation, Training

MOST_SEQUENCES: Final = 1024
"""Sequences that an engine decodes together at most, as vLLM sets it on a large GPU."""
_BILLION: Final = 1e9


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers of one model."""

    gpu: Gpu
    shape: ModelShape
    replicas: int = 1
    tensor_parallel: int = 1
    engines: int = 1
    """Of each, on the same GPUs."""


def engine_seconds(parameters: Parameters, shape: ModelShape, *, compiles: bool) -> float:
    """From the creation of a model's server to its first answer."""
    return parameters.engine_start + compiles * parameters.engine_compile + shape.weight_bytes / parameters.copy_rate


def exchange_seconds(parameters: Parameters, shape: ModelShape) -> float:
    """From the word to a kept engine to its answering as the next model."""
    return parameters.exchange + shape.weight_bytes / parameters.copy_rate


def import_seconds(parameters: Parameters, shape: ModelShape) -> float:
    """The import of a model that lies on this machine; over a network its line is what counts."""
    return parameters.import_start + shape.weight_bytes / parameters.copy_rate


def decode_tokens_per_second(parameters: Parameters, servers: Servers, sequences: float, context: float) -> float:
    """Tokens a second of all servers, by the narrowest of three: the engine's processor, the memory that holds weights
    and cache, and arithmetic. `sequences` are decoded together on one engine, each with `context` tokens behind it;
    the engines of a server take turns on its GPUs."""
    shape, gpus, engines = servers.shape, servers.tensor_parallel, servers.engines
    room = cache_of(servers.gpu, shape, gpus, engines)
    together = max(1.0, min(sequences, MOST_SEQUENCES, room / max(1.0, context)))
    read = shape.weight_bytes + together * context * shape.cache_bytes_per_token
    bandwidth = together * servers.gpu.bandwidth * parameters.decode_bandwidth * gpus / read
    compute = servers.gpu.flops * parameters.decode_compute * gpus / (2 * shape.parameters)
    return servers.replicas * min(engines * parameters.engine_tokens, bandwidth, compute)


def generation_seconds(parameters: Parameters, servers: Servers, work: Generation) -> float:
    """All requests of `work`, sent as fast as the servers take them, to an engine that has answered before."""
    if not work.calls:
        return 0.0
    mean_answer = work.answer_tokens / work.samples
    context = work.prompt_tokens / work.calls + mean_answer / 2
    engines = servers.replicas * servers.engines
    rate = decode_tokens_per_second(parameters, servers, work.samples / work.shards / engines, context)
    prefill = servers.gpu.flops * parameters.prefill_compute * servers.tensor_parallel * servers.replicas
    return (
        work.shards * parameters.shard
        + work.answer_tokens / rate
        + work.calls * parameters.call / engines
        + work.read_tokens * 2 * servers.shape.parameters / prefill
    )


def training_seconds(parameters: Parameters, gpu: Gpu, shape: ModelShape, work: Training, processes: int) -> float:
    """One training from its creation to the commit of its model. What processes tell each other was not measured."""
    each = parameters.pass_token + 2 * shape.parameters / (gpu.flops * parameters.training_flops)
    return (
        parameters.training_start
        + parameters.training_per_billion * shape.parameters / _BILLION
        + work.token_passes * each / processes
    )
