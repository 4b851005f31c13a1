"""What the run's model takes on the GPUs that the spec names, as limits that a number of parameters is held against.

Here and not in the api, since it is the graph that knows which trainings there are. Counted is what a training holds
for as long as it lasts (:mod:`selfreward_steps.training`): weights in float32 whatever it computes in, their gradients
and Adam's two moments, and the reference model, also in float32; sharded over all processes (FSDP). Activations come
on top, so that what is refused never fits, while what is let through may still run out of memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from selfreward_steps.contract import (
    FULL_BYTES,
    WEIGHT_BYTES,
    DpoSettings,
    MemoryLimit,
    PairStrategy,
    ReferenceModel,
    Remedy,
    StepName,
)

from selfreward.api import SelfRewardRunSpec, Workload
from selfreward.plan.graph import build_graph

_SERVED: Final = 2
"""Bytes of a served weight; servers keep the format it is stored in, bfloat16 after any training."""
GPU_MEMORY_LABEL: Final = "nvidia.com/gpu.memory"
"""Node label of NVIDIA's GPU feature discovery, in MiB."""
_MIB: Final = 1 << 20
GPU_PRODUCT_LABEL: Final = "nvidia.com/gpu.product"
"""Its label with the model's name."""
_MODEL_LABELS: Final = (
    GPU_PRODUCT_LABEL,
    "cloud.google.com/gke-accelerator",
    "karpenter.k8s.aws/instance-gpu-name",
    "gpu.nvidia.com/model",
)
_MODELS: Final = {
    **dict.fromkeys(("t4", "p100"), 16),
    **dict.fromkeys(("a10", "a10g", "a30", "l4", "3090", "4090"), 24),
    **dict.fromkeys(("v100", "5090"), 32),
    **dict.fromkeys(("a40", "a6000", "l40", "l40s"), 48),
    **dict.fromkeys(("a100", "h100"), 80),
    **{"nvl": 94, "h200": 141, "b200": 192, "gb200": 192, "b300": 288, "gb300": 288},
}
"""GiB of NVIDIA's models; the largest where there are several, so that none is refused that might fit."""

_PART: Final = "/mig-"
"""In the name of a resource that is a part of a GPU (MIG, the device plugin's strategy `mixed`)."""
_SLICE: Final = re.compile(r"/mig-\d+g\.(\d{1,4})gb\b")
"""The name of one with memory of its own, in GB: `nvidia.com/mig-3g.71gb`. Of `1c.3g.71gb` several share those."""


def memory_limits(spec: SelfRewardRunSpec) -> list[MemoryLimit]:
    """What must fit where; empty where the spec does not say on which GPUs."""
    return [*_training(spec), *_serving(spec)]


def gpu_bytes(workload: Workload, device_class: str | None = None) -> int | None:
    """Memory of each GPU, or part of one, that the pods get, as far as the spec tells.

    Of parts that are asked for by name, the name tells; nodes' labels tell of whole GPUs then, as they do where
    `device_class` has parts.
    """
    parts = [name for name in (*workload.resources.requests, *workload.resources.limits) if is_part(name)]
    if parts:
        sizes = {None if (found := _SLICE.search(name)) is None else int(found[1]) for name in parts}
        size = sizes.pop()
        return None if sizes or not size else size << 30
    if device_class is not None and "mig" in re.split(r"[^a-z0-9]+", device_class):
        return None
    return labelled_bytes(workload.node_selector)


def is_part(resource: str) -> bool:
    """Whether a resource is a part of a GPU."""
    return _PART in resource


def labelled_bytes(node_selector: Mapping[str, str]) -> int | None:
    """Memory of each GPU of the nodes that are selected, as far as their labels tell."""
    stated = node_selector.get(GPU_MEMORY_LABEL) or node_selector.get("karpenter.k8s.aws/instance-gpu-memory")
    if stated is not None and stated.isdecimal() and int(stated):
        return int(stated) * _MIB
    for label in _MODEL_LABELS:
        name = node_selector.get(label, "").lower()
        # The last number is that of the part, where a GPU is cut in parts (MIG).
        sizes = [int(size) for size in re.findall(r"(\d+)gb", name)] or [
            _MODELS[word] for word in re.split(r"[^a-z0-9]+", name) if word in _MODELS
        ]
        if sizes:
            return (sizes[-1] << 30) or None
    return None


def _training(spec: SelfRewardRunSpec) -> Iterator[MemoryLimit]:
    memory = gpu_bytes(spec.workloads.training, spec.serving.device_class_name)
    if memory is None:
        return
    training = spec.training
    steps = {node.step for node in build_graph(spec).nodes}
    common = {
        "gpu_bytes": memory,
        "processes": training.nodes * training.processes_per_node,
        "more": "training.nodes and training.processesPerNode",
    }
    if steps & {StepName.SFT_BASELINE, StepName.SFT}:
        lora = training.sft.lora is not None
        yield MemoryLimit.model_validate(
            {
                "field": "spec.training.sft",
                "use": _use(lora=lora, reference=False),
                "bytes_per_parameter": WEIGHT_BYTES if lora else FULL_BYTES,
                "remedies": [] if lora else [Remedy(words="training.sft.lora: {}", bytes_per_parameter=WEIGHT_BYTES)],
                **common,
            }
        )
    reference = _reference(spec, training.dpo)
    lora = training.dpo.lora is not None
    yield MemoryLimit.model_validate(
        {
            "field": "spec.training.dpo",
            "use": _use(lora=lora, reference=reference > 0),
            "bytes_per_parameter": max(WEIGHT_BYTES if lora else FULL_BYTES, _measuring(spec)) + reference,
            "remedies": list(_remedies(spec)),
            **common,
        }
    )


def _use(*, lora: bool, reference: bool) -> str:
    own = f"{WEIGHT_BYTES} bytes a weight" if lora else f"{FULL_BYTES} bytes a weight, its gradient and Adam's moments"
    return f"{own}{f', {WEIGHT_BYTES} the reference model' if reference else ''}"


def _reference(spec: SelfRewardRunSpec, dpo: DpoSettings) -> int:
    """Bytes of the reference model, which stands beside the one that is trained unless it was measured before, or is
    the same without its adapters."""
    if spec.preferences.strategy is PairStrategy.POSITIVE_ONLY or _precomputes(spec, dpo):
        return 0
    return WEIGHT_BYTES if dpo.lora is None or not _is_own(spec, dpo) else 0


def _precomputes(spec: SelfRewardRunSpec, dpo: DpoSettings) -> bool:
    return dpo.precompute_ref_log_probs and spec.training.nodes == 1


def _is_own(spec: SelfRewardRunSpec, dpo: DpoSettings) -> bool:
    """Whether the reference is always the model that the training starts from."""
    return dpo.reference_model is ReferenceModel.PREVIOUS or spec.iterations == 1


def _measuring(spec: SelfRewardRunSpec) -> int:
    """Bytes while a reference is measured before the training; both models are there where it is another's."""
    dpo, training = spec.training.dpo, spec.training
    if spec.preferences.strategy is PairStrategy.POSITIVE_ONLY or not _precomputes(spec, dpo):
        return 0
    alone = _is_own(spec, dpo) and training.nodes * training.processes_per_node == 1
    return WEIGHT_BYTES if alone else WEIGHT_BYTES + WEIGHT_BYTES


def _remedies(spec: SelfRewardRunSpec) -> Iterator[Remedy]:
    dpo = spec.training.dpo
    if dpo.lora is None:
        beside = 0 if _is_own(spec, dpo) or _reference(spec, dpo) == 0 else WEIGHT_BYTES
        yield Remedy(words="training.dpo.lora: {}", bytes_per_parameter=WEIGHT_BYTES + beside)
        if _reference(spec, dpo) and spec.training.nodes == 1:
            yield Remedy(words="training.dpo.precomputeRefLogProbs: true", bytes_per_parameter=FULL_BYTES)


def _serving(spec: SelfRewardRunSpec) -> Iterator[MemoryLimit]:
    serving = spec.serving
    memory, engines = gpu_bytes(spec.workloads.serving, serving.device_class_name), serving.engines_per_server
    halves = serving.dtype not in ("float", "float32")
    if memory is None or serving.args or not serving.runs_vllm:
        return
    weight = _SERVED if halves else 2 * _SERVED
    alone = [Remedy(words="serving.enginesPerServer: 1", bytes_per_parameter=weight)]
    yield MemoryLimit(
        field="spec.serving",
        use=f"{weight} bytes a served weight{f' in each of {engines} engines' if engines > 1 else ''}",
        bytes_per_parameter=weight * engines,
        remedies=alone if engines > 1 else [],
        gpu_bytes=memory,
        processes=serving.tensor_parallel,
        more="serving.tensorParallel",
    )
