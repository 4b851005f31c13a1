"""A training that is killed or stopped and started again ends where the undisturbed one ends."""

import os
import signal

import pytest
from training_bench import Bench

DPO = {"model": "m0", "reference": "m0", "pairs": "iteration-1/pairs"}
FAST = {"learningRate": 1e-3, "minLearningRate": 1e-4, "batchSize": 8, "perDeviceBatchSize": 4, "epochs": 5}
LORA = {"lora": {"rank": 4, "alpha": 8, "dropout": 0.2}}


@pytest.mark.parametrize(("kind", "extra"), [("full", {}), ("adapters", LORA)], ids=["full fine-tuning", "LoRA"])
def test_killed_and_resumed_is_bitwise_the_undisturbed_one(bench: Bench, kind: str, extra: dict[str, object]) -> None:
    settings = {**FAST, **extra, "dropout": 0.2, "checkpointSteps": 3}
    whole = bench.run("dpo", "whole", settings, inputs=DPO, iteration=1)
    assert whole.result["succeeded"], whole.errors

    running = bench.start("dpo", "killed", settings, inputs=DPO, iteration=1)
    running.when(lambda: bool(bench.checkpoints("killed")))
    os.kill(running.processes[0].pid or 0, signal.SIGKILL)
    assert running.wait().code == signal.SIGKILL
    assert not bench.store.artifacts("killed")

    resumed = bench.run("dpo", "killed", settings, inputs=DPO, iteration=1)
    assert resumed.result["succeeded"], resumed.errors
    assert resumed.resumed_after >= 3
    assert bench.weights("killed") == bench.weights("whole")
    assert bench.weights("killed") != bench.weights("m0")
    assert resumed.numbers == whole.numbers
    assert bench.checkpoints("killed") == bench.checkpoints("whole") == []


def test_told_to_stop_it_keeps_a_checkpoint_first(bench: Bench) -> None:
    settings = {**FAST, "epochs": 20, "checkpointSteps": 10_000}
    running = bench.start("dpo", "m2", settings, inputs=DPO, iteration=1)
    running.when(lambda: '"loss"' in (running.folder / "output-0").read_text())
    os.kill(running.processes[0].pid or 0, signal.SIGTERM)
    stopped = running.wait()
    assert (stopped.code, stopped.result["reason"]) == (143, "Stopped"), stopped.errors
    (checkpoint,) = bench.checkpoints("m2")

    resumed = bench.run("dpo", "m2", settings, inputs=DPO, iteration=1)
    assert resumed.result["succeeded"], resumed.errors
    assert f"step-{resumed.resumed_after:06d}" in checkpoint
