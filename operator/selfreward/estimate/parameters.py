"""The parameters of the estimate of time: few, each with a meaning of its own, fitted to measurements.

`benchmarks/gpu/fit.py` fits them to `benchmarks/gpu/measurements.json` and writes `fitted.json`, which is read here.
All were measured on H200s. What hangs on the GPU is put as a share of its data sheet's number, so another GPU is
reckoned from its own; what hangs on the processor beside it is taken as it was measured.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

from pydantic import Field
from selfreward_steps.contract import ContractModel

FILE: Final = "fitted.json"


class Parameters(ContractModel):
    """The model of time. Seconds, unless it is said otherwise."""

    step_start: float
    """From a step's creation to its first work: a process that imports what it needs."""
    import_start: float
    """The import's own: it opens the model and the data with the training libraries."""
    engine_start: float
    """From a server's creation to its first answer, on a machine that has nothing compiled: imports, inspection of the
    model, graphs."""
    engine_compile: float
    """What the start takes on top where the model is compiled, as that of a run of many answers is."""
    engine_first: float
    """What the first answers of a started engine take on top: kernels that are compiled when they are first needed."""
    exchange: float
    """A kept engine is told of the next model and is ready with it, without its bytes."""
    copy_rate: float
    """Bytes a second at which a model is fetched from the run's store, verified and loaded."""
    engine_tokens: float
    """Tokens a second that one engine writes at most, whatever the model: scheduling and sampling by its processor."""
    call: float
    """A request's own cost to the engine: HTTP, the template, the tokenizer."""
    shard: float
    """What each shard takes on top: its process, and its last answers, which the engine writes almost alone."""
    decode_bandwidth: float = Field(gt=0, le=1)
    """Share of the memory's bandwidth that decoding reaches. Assumed: no measured model was limited by it."""
    decode_compute: float = Field(gt=0, le=1)
    """Share of the GPU's arithmetic that decoding in large batches reaches. Assumed, likewise."""
    prefill_compute: float = Field(gt=0, le=1)
    """Share of it that reading prompts reaches. Assumed, likewise."""
    training_start: float
    """What a training takes whatever it trains: imports, CUDA, kernels compiled in its first step."""
    training_per_billion: float
    """For each billion parameters: weights are read, made float32, gathered, rounded, written and hashed."""
    pass_token: float
    """One pass (forward; a backward counts as two) over one token, without the arithmetic that grows with the model."""
    training_flops: float = Field(gt=0, le=1)
    """Model FLOPs utilisation: the share of the GPU's arithmetic that passes reach in what grows with the model."""


@cache
def fitted() -> Parameters:
    """The parameters as they were last fitted."""
    return Parameters.model_validate_json((files("selfreward.estimate") / FILE).read_text(encoding="utf-8"))
