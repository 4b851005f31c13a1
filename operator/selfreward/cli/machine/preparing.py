"""What this machine fills in where the user's file is silent: storage, the engine, what a CPU needs.

The result is an ordinary spec, rendered to the same manifests as anyone's: there is no second description of a
local run. It must not change anything that the user has set.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psutil

from selfreward.api import Keeping, SelfRewardRun, SelfRewardRunSpec, Serving, ServingEngine, Storage, TrainingBackend
from selfreward.api.annotations import GPUS
from selfreward.cli.errors import CommandError
from selfreward.cli.machine.gpus import gpu_memory, has_gpu, on_these_gpus, visible_gpus
from selfreward.cluster.local.devices import IN_TURNS, Sharing, share
from selfreward.render.processors import on_processors, processor_variables

_PART_OF_MEMORY: Final = 10
"""A tenth of this machine's: training, and the engine's clients, are on it too."""
_KEEPING_MEMORY: Final = 16 << 30
"""Bytes of memory from which an engine stays beside a training on a CPU."""
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
    annotations = {**run.metadata.annotations, GPUS: str(len(visible_gpus()) if has_gpu() else 0)}
    # The import knows how large the model is, and this how large the GPUs are.
    spec = on_these_gpus(spec.model_copy(update=changes), gpu_memory())
    return run.model_copy(
        update={"spec": spec, "metadata": run.metadata.model_copy(update={"annotations": annotations})}
    )


def sharing(spec: SelfRewardRunSpec) -> Sharing:
    """How the servers and trainings of a prepared run share this machine."""
    if not spec.serving.runs_vllm:
        return replace(IN_TURNS, warms=has_gpu())
    if has_gpu():
        return replace(share(spec, visible_gpus()), warms=True)
    # There is nothing to take turns on but memory: the engine keeps its own through a training.
    return Sharing(Keeping.AWAKE if psutil.virtual_memory().total >= _KEEPING_MEMORY else Keeping.NEVER)


def _serving(serving: Serving) -> Serving:
    if serving.command:
        return serving
    engine = _engine() if serving.engine is ServingEngine.AUTO else serving.engine
    serving = serving.model_copy(update={"engine": engine})
    if not has_gpu():
        return on_processors(serving, psutil.virtual_memory().total // _PART_OF_MEMORY)
    # Here replicas are engines of one server: it has one address, and hands requests to the idler one.
    engines = serving.replicas * serving.engines_per_server
    copies = [f"--data-parallel-size={engines}"] if serving.replicas > 1 else []
    return serving.model_copy(update={"args": [*copies, *serving.args]})


def _engine() -> ServingEngine:
    """vLLM where it is installed. Looked for, not imported: that takes ten seconds."""
    if importlib.util.find_spec("vllm") is not None:
        return ServingEngine.VLLM
    if importlib.util.find_spec("transformers") is not None and importlib.util.find_spec("uvicorn") is not None:
        return ServingEngine.TRANSFORMERS
    raise CommandError([_NO_ENGINE])


def _engine_environment() -> dict[str, str]:
    if has_gpu():
        return {}
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return processor_variables(",".join(str(core) for core in cores))
