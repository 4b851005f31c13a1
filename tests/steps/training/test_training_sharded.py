"""Fully sharded training over two processes, which must end where one process ends."""

import math
import os
import signal

import pytest
from safetensors.torch import load_file
from selfreward_steps.contract import DpoSettings
from training_bench import Bench
from transformers import AutoModelForCausalLM

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


def test_a_batch_that_the_processes_cannot_share_is_refused(bench: Bench) -> None:
    settings = DpoSettings(batch_size=7).model_dump(mode="json", by_alias=True)
    refused = bench.run("dpo", "two", settings, inputs=DPO, iteration=1, ranks=2)
    assert (refused.code, refused.result["reason"]) == (64, "BatchNotDivisible")
    assert "settings.batchSize: 7" in refused.result["message"]
