"""What fits a GPU, by arithmetic: 16 bytes a parameter and 4 of the reference, over the processes that share them."""

from __future__ import annotations

from typing import Any

import pytest
from selfreward.api import SelfRewardRunSpec, Workload
from selfreward.render.memory import gpu_bytes, labelled_bytes, memory_limits
from selfreward_steps.contract import ImportConfig, ModelImport, ModelSource, StoreConfig, parse_config

EIGHT_BILLION = 8_030_261_248
"""Llama 3.1 8B."""
H100 = {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}}
ROWS = {"uri": "s3://bucket/rows.jsonl"}
LORA = {"sft": {"lora": {}}, "dpo": {"lora": {}}}


def spec(**fields: Any) -> SelfRewardRunSpec:
    data = {"model": {"uri": "hf://a/b"}, "seedData": {"instructions": ROWS, "rankings": ROWS}}
    return SelfRewardRunSpec.model_validate({**data, "workloads": {"training": H100, "serving": H100}, **fields})


def refused(parameters: int = EIGHT_BILLION, **fields: Any) -> dict[str, str]:
    limits = {limit.field: limit.refusal(parameters) for limit in memory_limits(spec(**fields))}
    return {field: words for field, words in limits.items() if words is not None}


def test_eight_billion_do_not_fit_one_gpu_and_the_message_says_what_would() -> None:
    told = refused()
    assert told == {
        "spec.training.sft": "spec.training.sft: 8.0 billion parameters take 120 GiB on each GPU before the first "
        "activation (16 bytes a weight, its gradient and Adam's moments), and it has 80 GiB: training.sft.lora: {} "
        "(30 GiB) or 2 GPUs by training.nodes and training.processesPerNode (60 GiB on each) would fit",
        "spec.training.dpo": "spec.training.dpo: 8.0 billion parameters take 150 GiB on each GPU before the first "
        "activation (16 bytes a weight, its gradient and Adam's moments, 4 the reference model), and it has 80 GiB: "
        "training.dpo.lora: {} (30 GiB) or 4 GPUs by training.nodes and training.processesPerNode (37 GiB on each) "
        "would fit",
    }


@pytest.mark.parametrize(
    ("fields", "stages"),
    [
        pytest.param({"training": LORA}, [], id="adapters"),
        pytest.param({"training": {"processesPerNode": 4}}, [], id="four GPUs"),
        pytest.param({"training": {"nodes": 2, "processesPerNode": 1}}, [], id="two nodes of one"),
        pytest.param({"training": {"sft": {"lora": {}}}}, ["dpo"], id="adapters in SFT only"),
        pytest.param({"seedData": {}, "prompts": {"source": ROWS}}, ["dpo"], id="no SFT without seed data"),
        pytest.param({"workloads": {}}, [], id="unknown GPUs"),
    ],
)
def test_what_fits_depends_on_the_spec(fields: dict[str, Any], stages: list[str]) -> None:
    assert list(refused(**fields)) == [f"spec.training.{stage}" for stage in stages]


def per_parameter(**fields: Any) -> float:
    return next(limit.bytes_per_parameter for limit in memory_limits(spec(**fields)) if limit.field.endswith("dpo"))


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        pytest.param({}, 20, id="its own copy as reference"),
        pytest.param({"training": {"dpo": {"precomputeRefLogProbs": True}}}, 16, id="measured before"),
        pytest.param(
            {"training": {"nodes": 2, "dpo": {"precomputeRefLogProbs": True}}}, 20, id="not measured over several nodes"
        ),
        pytest.param({"training": {"dpo": {"lora": {}}}}, 4, id="the reference is the model without adapters"),
        pytest.param(
            {"training": {"dpo": {"lora": {}, "referenceModel": "initial"}}}, 8, id="another reference than itself"
        ),
        pytest.param(
            {"iterations": 1, "training": {"dpo": {"lora": {}, "referenceModel": "initial"}}},
            4,
            id="M1 is the first iteration's own",
        ),
        pytest.param(
            {"training": {"dpo": {"lora": {}, "referenceModel": "initial", "precomputeRefLogProbs": True}}},
            8,
            id="both are there while the reference is measured",
        ),
        pytest.param({"preferences": {"strategy": "positive-only"}}, 16, id="no reference in supervised training"),
    ],
)
def test_bytes_of_a_parameter(fields: dict[str, Any], count: float) -> None:
    assert per_parameter(**fields) == count


def test_precomputing_is_offered_where_it_is_enough() -> None:
    words = refused(4_400_000_000)["spec.training.dpo"]
    assert "training.dpo.precomputeRefLogProbs: true (66 GiB)" in words


def test_a_server_holds_two_bytes_of_a_weight_and_shares_them() -> None:
    limits = memory_limits(spec(serving={"tensorParallel": 2}, workloads={"serving": H100}))
    (words,) = [limit.refusal(100_000_000_000) for limit in limits]
    assert words is not None
    assert words.startswith("spec.serving: 100.0 billion parameters take 93 GiB on each GPU")
    assert words.endswith("4 GPUs by serving.tensorParallel (47 GiB on each) would fit")


@pytest.mark.parametrize(
    ("labels", "gib"),
    [
        ({"nvidia.com/gpu.memory": "81559"}, 79),
        ({"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB"}, 40),
        ({"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-3g.40gb"}, 40),
        ({"nvidia.com/gpu.product": "NVIDIA-L40S"}, 48),
        ({"nvidia.com/gpu.product": "NVIDIA-GeForce-RTX-4090"}, 24),
        ({"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"}, 16),
        ({"karpenter.k8s.aws/instance-gpu-name": "h100"}, 80),
        ({"nvidia.com/gpu.product": "NVIDIA-X999"}, None),
        ({"nvidia.com/gpu.memory": "much"}, None),
        ({"pool": "gpu-80gb"}, None),
        ({}, None),
    ],
)
def test_memory_of_the_nodes_that_are_selected(labels: dict[str, str], gib: int | None) -> None:
    found = labelled_bytes(labels)
    assert (None if found is None else found >> 30) == gib


@pytest.mark.parametrize(
    ("named", "gib"),
    [
        ({"limits": {"nvidia.com/mig-3g.71gb": 1}}, 71),
        ({"requests": {"nvidia.com/mig-1g.10gb.me": "1"}, "limits": {"nvidia.com/mig-1g.10gb.me": "1"}}, 10),
        ({"limits": {"nvidia.com/mig-1c.3g.40gb": 1}}, None),
        ({"limits": {"nvidia.com/mig-3g.40gb": 1, "nvidia.com/mig-1g.10gb": 1}}, None),
        ({"limits": {"nvidia.com/mig-small": 1}}, None),
        ({"limits": {"nvidia.com/mig-1g.0gb": 1}}, None),
        ({"limits": {"nvidia.com/gpu": 1}}, 141),
    ],
)
def test_a_part_of_a_gpu_has_the_memory_that_its_name_says(named: dict[str, Any], gib: int | None) -> None:
    selector = {"nvidia.com/gpu.memory": str(141 * 1024)}
    found = gpu_bytes(Workload.model_validate({"resources": named, "nodeSelector": selector}))
    assert (None if found is None else found >> 30) == gib


@pytest.mark.parametrize(
    ("device_class", "gib"), [("mig.nvidia.com", None), ("gpu.nvidia.com", 80), ("amigo", 80), (None, 80)]
)
def test_parts_by_a_device_class_have_not_the_whole_ones_memory(device_class: str | None, gib: int | None) -> None:
    found = gpu_bytes(Workload.model_validate(H100), device_class)
    assert (None if found is None else found >> 30) == gib


def test_what_does_not_fit_a_part_is_refused_though_it_fits_the_whole() -> None:
    part = {"resources": {"limits": {"nvidia.com/mig-1g.10gb": 1}}, **H100}
    limits = memory_limits(spec(workloads={"serving": part, "training": part}))
    assert {limit.gpu_bytes >> 30 for limit in limits} == {10}
    assert [limit.field for limit in limits if limit.refusal(8_000_000_000)] == [limit.field for limit in limits]


def test_the_limits_reach_the_import_as_they_are() -> None:
    limits = memory_limits(spec())
    model = ModelImport(source=ModelSource(uri="hf://a/b"), output="m0")
    config = ImportConfig(
        run="r", store=StoreConfig(uri="file:///s"), output="seed", models=[model], memory_limits=limits
    )
    assert parse_config(config.model_dump_json(by_alias=True, exclude_none=True)) == config
