"""Fully sharded training over two processes, which must end where one process ends."""

import json
import math
import os
import signal
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import torch
from loading import peak_of_loading
from safetensors.torch import load_file
from selfreward_steps.contract import DpoSettings
from selfreward_steps.training.models import load_model
from selfreward_steps.training.ranks import Ranks
from selfreward_steps.training.sharding import load_for
from tiny_model import make_tiny_model, make_tokenizer
from training_bench import Bench, on_ranks
from transformers import AutoModelForCausalLM, DeepseekV3Config, Gemma3TextConfig

DPO = {"model": "m0", "reference": "m0", "pairs": "iteration-1/pairs"}
# Dropout draws differ between one process and two, and a last bit that differs can round to another bfloat16.
SETTINGS = {
    "precision": "fp32",
    "learningRate": 1e-3,
    "minLearningRate": 1e-4,
    "batchSize": 8,
    "perDeviceBatchSize": 2,
    "epochs": 2,
    "dropout": 0,
    "checkpointSteps": 10_000,
}
ADAPTERS = {"lora": {"rank": 4, "alpha": 8, "dropout": 0}}


def _same(bench: Bench, first: str, second: str) -> float:
    one, two = (load_file(bench.model(artifact) / "model.safetensors") for artifact in (first, second))
    assert one.keys() == two.keys()
    return max(float((one[name] - two[name]).abs().max()) for name in one)


def _moved(bench: Bench, artifact: str) -> float:
    return _same(bench, "m0", artifact)


@pytest.mark.parametrize("extra", [{"precomputeRefLogProbs": True}, ADAPTERS], ids=["full, precomputed", "LoRA"])
def test_two_processes_end_where_one_does(bench: Bench, extra: dict[str, object]) -> None:
    settings = {**SETTINGS, **extra, "epochs": 1}
    one = bench.run("dpo", "one", settings, inputs=DPO, iteration=1)
    two = bench.run("dpo", "two", settings, inputs=DPO, iteration=1, ranks=2)
    assert one.result["succeeded"], one.errors
    assert two.result["succeeded"], two.errors
    assert _moved(bench, "one") > 1e-4
    assert _same(bench, "one", "two") < 1e-5
    assert two.result["metrics"]["reward_margin"] == pytest.approx(one.result["metrics"]["reward_margin"], abs=1e-4)


def test_two_processes_in_bfloat16_measure_as_exactly_as_one(bench: Bench) -> None:
    settings = {**SETTINGS, **ADAPTERS, "epochs": 1, "precision": "bf16"}
    one = bench.run("dpo", "one", settings, inputs=DPO, iteration=1)
    two = bench.run("dpo", "two", settings, inputs=DPO, iteration=1, ranks=2)
    assert two.result["succeeded"], two.errors
    metrics = two.result["metrics"]
    assert metrics["loss_first"] == pytest.approx(math.log(2), abs=1e-5)
    for name in ("reward_margin", "reward_chosen", "reward_rejected"):
        # Rounded to bfloat16, these small rewards would be mostly 0.
        assert metrics[name] == pytest.approx(one.result["metrics"][name], rel=0.05)
    assert metrics["reward_rejected"] < 0 < metrics["reward_chosen"]


def test_two_processes_stopped_and_resumed_under_torchrun_end_where_one_does(bench: Bench) -> None:
    one = bench.run("dpo", "one", SETTINGS, inputs=DPO, iteration=1)
    assert one.result["succeeded"], one.errors

    running = bench.start("dpo", "two", SETTINGS, inputs=DPO, iteration=1, ranks=2)
    running.when(lambda: '"loss"' in (running.folder / "output-0").read_text())
    # One rank alone is told: they must agree on the step to stop after.
    os.kill(running.processes[1].pid or 0, signal.SIGTERM)
    stopped = running.wait()
    assert (stopped.code, stopped.result["reason"]) == (143, "Stopped"), stopped.errors
    (checkpoint,) = bench.checkpoints("two")
    assert "/ranks-2/" in checkpoint
    # Each rank wrote shards of its own: this is not data parallelism.
    manifest = bench.store.read_manifest(checkpoint)
    assert manifest is not None
    names = {entry.name for entry in manifest.files}
    parts = ("pytorch_model_fsdp_0/__{}_0.distcp", "optimizer_0/__{}_0.distcp", "rng_state_{}.pth")
    assert names >= {part.format(rank) for part in parts for rank in (0, 1)}

    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "selfreward_steps"]
    resumed = bench.command(command, "dpo", "two", SETTINGS, inputs=DPO, iteration=1)
    assert (resumed.code, resumed.result["reason"]) == (0, "Committed"), resumed.errors
    assert f"step-{resumed.resumed_after:06d}" in checkpoint
    assert _same(bench, "one", "two") < 1e-5
    assert bench.checkpoints("two") == []
    AutoModelForCausalLM.from_pretrained(bench.model("two"))


def test_two_nodes_keep_and_resume_a_checkpoint_of_two_parts(bench: Bench) -> None:
    """Nodes share the store and no disk. Precomputing the reference, which TRL can do on one node only, is left."""
    settings = {**SETTINGS, "checkpointSteps": 4, "epochs": 3, "precomputeRefLogProbs": True}
    one = bench.run("dpo", "one", settings, inputs=DPO, iteration=1)
    assert one.result["succeeded"], one.errors
    running = bench.start("dpo", "two", settings, inputs=DPO, iteration=1, ranks=2, nodes=2)
    running.when(lambda: len(bench.checkpoints("two")) >= 2)
    for process in running.processes:
        os.kill(process.pid or 0, signal.SIGKILL)
    running.wait()
    assert {artifact.rsplit("/", 1)[1] for artifact in bench.checkpoints("two")} == {"node-0", "node-1"}
    resumed = bench.run("dpo", "two", settings, inputs=DPO, iteration=1, ranks=2, nodes=2)
    assert resumed.result["succeeded"], resumed.errors
    assert resumed.resumed_after >= 4
    assert _same(bench, "one", "two") < 1e-5
    assert bench.checkpoints("two") == []


def test_only_the_first_rank_ever_holds_a_whole_model(tmp_path: Path, forks: ForkServerContext) -> None:
    model = make_tiny_model(tmp_path / "m0", hidden_size=256, intermediate_size=5_000, num_hidden_layers=16)
    # As models are stored; float32 would be a map of the file, of which nothing is resident before it is read.
    AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).save_pretrained(model)
    whole = 2 * (model / "model.safetensors").stat().st_size
    assert whole > 200 << 20
    processes = [
        forks.Process(target=peak_of_loading, args=(model, variables, tmp_path / f"peak-{rank}"))
        for rank, variables in enumerate(on_ranks(2))
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    first, second = (json.loads((tmp_path / f"peak-{rank}").read_text()) for rank in range(2))
    assert first["loaded"] > 0.9 * whole
    # What else becomes resident meanwhile is libraries, more of them in a build with CUDA.
    assert second["loaded"] < 0.4 * whole


CONFIGS = {
    "buffers of its own": Gemma3TextConfig(num_hidden_layers=2, hidden_size=32, intermediate_size=64, vocab_size=400),
    "saved buffers": DeepseekV3Config(
        num_hidden_layers=2,
        hidden_size=32,
        intermediate_size=64,
        vocab_size=400,
        first_k_dense_replace=1,
        n_routed_experts=4,
        moe_intermediate_size=16,
        n_group=2,
        topk_group=1,
        num_experts_per_tok=2,
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_other_ranks_have_the_same_model_but_for_the_weights(tmp_path: Path, name: str) -> None:
    AutoModelForCausalLM.from_config(CONFIGS[name]).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    whole, empty = load_model(tmp_path), load_for(Ranks(rank=1, local_rank=1, world=2, local_world=2), tmp_path)
    one, other = (
        {name: (weight.shape, weight.dtype) for name, weight in model.named_parameters()} for model in (whole, empty)
    )
    assert one == other
    buffers = dict(whole.named_buffers())
    assert buffers.keys() == dict(empty.named_buffers()).keys()
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in empty.named_buffers())
    assert whole.training == empty.training is False


def test_a_batch_that_the_processes_cannot_share_is_refused(bench: Bench) -> None:
    settings = DpoSettings(batch_size=7).model_dump(mode="json", by_alias=True)
    refused = bench.run("dpo", "two", settings, inputs=DPO, iteration=1, ranks=2)
    assert (refused.code, refused.result["reason"]) == (64, "BatchNotDivisible")
    assert "settings.batchSize: 7" in refused.result["message"]
