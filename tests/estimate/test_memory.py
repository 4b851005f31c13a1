"""What is said of memory against what was measured: torch's own accounting here, torch's and vLLM's on an H200."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from selfreward.api import SelfRewardRunSpec
from selfreward.estimate import GPUS, ModelShape
from selfreward.estimate.memory import example_bytes, longest_example, training_bytes
from selfreward.render.memory import GPU_MEMORY_LABEL, memory_limits
from selfreward_steps.contract import DpoSettings, Precision, SftSettings, TrainingSettings, cache_tokens, states_bytes

MEASURED = json.loads((Path(__file__).parents[2] / "benchmarks/gpu/measurements.json").read_text())
SHAPES = {name: ModelShape(**shape) for name, shape in MEASURED["models"].items()}


def kept_by_autograd(shape: ModelShape, tokens: int, *, halves: bool, checkpointing: bool) -> int:
    """Bytes of all that autograd saves in a forward pass of a Llama of that shape, without weights."""
    import torch
    from transformers import LlamaConfig, LlamaModel

    config = LlamaConfig(
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=4,
        num_key_value_heads=4 * shape.key_value // shape.hidden,
        vocab_size=32,
        use_cache=False,
    )
    model = LlamaModel(config).train()
    if checkpointing:
        model.gradient_checkpointing_enable()
    weights = {tuple(each.shape) for each in model.parameters()} | {
        tuple(each.t().shape) for each in model.parameters()
    }
    kept: dict[int, int] = {}
    alive: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tuple(tensor.shape) not in weights:
            alive.append(tensor)  # so that no address is used twice
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=halves),
    ):
        model(input_ids=torch.zeros(1, tokens, dtype=torch.long))
    return sum(kept.values())


@pytest.mark.parametrize(
    ("precision", "checkpointing"), [(Precision.BF16, False), (Precision.FP32, False), (Precision.BF16, True)]
)
@pytest.mark.parametrize("inner", [320, 512])
@pytest.mark.parametrize("key_value", [128, 32])
def test_activations_are_what_autograd_keeps(
    precision: Precision, checkpointing: bool, inner: int, key_value: int
) -> None:
    def per_layer(layers: int) -> tuple[float, float]:
        shape = ModelShape(0, layers, 128, inner, key_value)
        settings = SftSettings(max_length=64, precision=precision, gradient_checkpointing=checkpointing)
        halves = precision is Precision.BF16
        return example_bytes(shape, settings, 64), kept_by_autograd(
            shape, 64, halves=halves, checkpointing=checkpointing
        )

    (said_few, kept_few), (said_many, kept_many) = per_layer(1), per_layer(4)
    assert said_many - said_few == pytest.approx(kept_many - kept_few, rel=0.1)


@pytest.mark.parametrize("measured", MEASURED["memory"], ids=lambda each: each["name"])
def test_a_training_takes_what_it_took_on_a_gpu(measured: dict[str, Any]) -> None:
    settings = DpoSettings(per_device_batch_size=measured["per_device"], max_length=measured["max_length"])
    spec = SelfRewardRunSpec.model_validate(
        {"model": {"uri": "hf://a/b"}, "workloads": {"training": {"nodeSelector": {GPU_MEMORY_LABEL: "143771"}}}}
    )
    (limit,) = [each for each in memory_limits(spec) if each.field == "spec.training.dpo"]
    said = training_bytes(SHAPES[measured["model"]], settings, limit, measured["max_length"])
    # Its longest examples were about as long as may be.
    assert said == pytest.approx(measured["allocated_bytes"], rel=0.15)


@pytest.mark.parametrize("measured", MEASURED["memory"], ids=lambda each: each["name"])
def test_what_is_chosen_by_memory_is_at_least_what_was_seen_to_fit(measured: dict[str, Any]) -> None:
    spec = SelfRewardRunSpec.model_validate(
        {"model": {"uri": "hf://a/b"}, "workloads": {"training": {"nodeSelector": {GPU_MEMORY_LABEL: "143771"}}}}
    )
    (limit,) = [each for each in memory_limits(spec) if each.field == "spec.training.dpo"]
    shape, longest = SHAPES[measured["model"]], measured["max_length"]

    def of(per_device: int | None) -> float:
        return training_bytes(shape, DpoSettings(per_device_batch_size=per_device), limit, longest)

    assert of(measured["per_device"]) <= of(None) < 0.95 * limit.gpu_bytes


@pytest.mark.parametrize(
    ("settings", "examples"),
    [
        pytest.param({"batchSize": 16, "perDeviceBatchSize": 5}, 4, id="the largest divisor within what is asked for"),
        pytest.param({"batchSize": 17, "perDeviceBatchSize": 16}, 1, id="of a prime one"),
        pytest.param({"batchSize": 8, "perDeviceBatchSize": 16}, 8, id="no more than there are"),
        pytest.param({"batchSize": 17}, 17, id="as memory takes"),
        pytest.param({"batchSize": 32, "lossType": "aot"}, 4, id="of a loss that memory must not change"),
    ],
)
def test_a_forward_pass_has_the_examples_that_training_gives_it(settings: dict[str, Any], examples: int) -> None:
    workloads = {"training": {"nodeSelector": {GPU_MEMORY_LABEL: "143771"}}}
    spec = SelfRewardRunSpec.model_validate({"model": {"uri": "hf://a/b"}, "workloads": workloads})
    (limit,) = [each for each in memory_limits(spec) if each.field == "spec.training.dpo"]
    dpo, shape = DpoSettings.model_validate(settings), SHAPES["135m"]
    states = states_bytes(shape, limit.bytes_per_parameter, processes=1, halves=True)
    taken = training_bytes(shape, dpo, limit, 100) - states
    assert taken == pytest.approx(examples * example_bytes(shape, dpo, 100))


@pytest.mark.parametrize("measured", MEASURED["cache"], ids=lambda each: each["model"])
def test_the_cache_holds_what_vllm_says(measured: dict[str, Any]) -> None:
    shape = SHAPES[measured["model"]]
    said = cache_tokens(
        GPUS[measured["gpu"]].memory, 1, shape.weight_bytes, shape.cache_bytes_per_token, measured["share"]
    )
    assert said == pytest.approx(measured["tokens"], rel=0.03)


def test_sharded_weights_are_gathered_layer_by_layer() -> None:
    shape = ModelShape(8 * 10**9, 32, 4096, 14336, 1024)

    def of(processes: int) -> float:
        spec = SelfRewardRunSpec.model_validate(
            {
                "model": {"uri": "hf://a/b"},
                "seedData": {"instructions": {"uri": "hf://datasets/a/b"}},
                "training": {"processesPerNode": processes},
                "workloads": {"training": {"nodeSelector": {GPU_MEMORY_LABEL: "81559"}}},
            }
        )
        (limit,) = [each for each in memory_limits(spec) if each.field == "spec.training.sft"]
        settings = SftSettings(gradient_checkpointing=True, per_device_batch_size=1)
        return training_bytes(shape, settings, limit, 9) - example_bytes(shape, settings, 9)

    assert of(1) == 18 * shape.parameters
    assert of(8) == pytest.approx(2 * shape.parameters, rel=0.1)


def test_float32_keeps_more() -> None:
    shape = SHAPES["135m"]

    def of(precision: Precision) -> float:
        settings: TrainingSettings = SftSettings(precision=precision)
        return example_bytes(shape, settings, 100)

    assert of(Precision.FP32) > 1.3 * of(Precision.AUTO)


@pytest.mark.parametrize(
    ("prompts", "longest"), [({}, 256 + 1024), ({"generator": "file", "source": {"uri": "hf://datasets/a/b"}}, 2048)]
)
def test_prompts_that_a_model_writes_have_an_end(prompts: dict[str, Any], longest: int) -> None:
    spec = SelfRewardRunSpec.model_validate({"model": {"uri": "hf://a/b"}, "prompts": prompts})
    assert longest_example(spec, spec.training.dpo) == longest
    assert longest_example(spec, spec.training.sft) == 2048
