"""Snapshots on the way: whole models with numbers of their own, and a training that ends as if there were none."""

from __future__ import annotations

from typing import Any

import pytest
from selfreward_steps.errors import PermanentError
from selfreward_steps.training.snapshots import snapshot_steps
from training_bench import Bench

DPO = {"model": "m0", "reference": "m0", "pairs": "iteration-1/pairs"}
SETTINGS: dict[str, Any] = {
    "learningRate": 1e-3,
    "minLearningRate": 1e-4,
    "batchSize": 8,
    "perDeviceBatchSize": 4,
    "dropout": 0.2,
}
LORA = {"lora": {"rank": 4, "alpha": 8, "dropout": 0.2}}


@pytest.mark.parametrize(
    ("count", "steps", "due"),
    [
        pytest.param(1, 6, {3: 1}, id="the middle"),
        pytest.param(2, 248, {83: 1, 165: 2}, id="thirds of the paper's first round"),
        pytest.param(2, 3, {1: 1, 2: 2}, id="each step"),
    ],
)
def test_snapshots_lie_evenly(count: int, steps: int, due: dict[int, int]) -> None:
    assert snapshot_steps(count, steps) == due


def test_a_training_needs_a_step_for_each() -> None:
    with pytest.raises(PermanentError, match="3 checkpoints of a training of 2 steps"):
        snapshot_steps(2, 2)


@pytest.mark.parametrize("extra", [{}, LORA], ids=["full fine-tuning", "LoRA"])
def test_a_training_with_snapshots_ends_as_one_without(bench: Bench, extra: dict[str, Any]) -> None:
    settings = {**SETTINGS, **extra}
    plain = bench.run("dpo", "m2", settings, inputs=DPO, iteration=1)
    assert plain.result["succeeded"], plain.errors
    on_the_way = ["m2-checkpoint-1", "m2-checkpoint-2"]
    made = bench.run("dpo", "m2-checkpoint-3", settings, inputs=DPO, iteration=1, checkpoints=on_the_way)
    assert made.result["succeeded"], made.errors
    assert made.result["outputs"].keys() == {*on_the_way, "m2-checkpoint-3"}
    assert bench.weights("m2-checkpoint-3") == bench.weights("m2")
    assert made.numbers == plain.numbers
    assert len({bench.weights(name) for name in ("m0", *on_the_way, "m2")}) == 4

    # Its numbers are its own: those of a training that would have ended there differ by the schedule alone.
    manifests = [bench.store.read_manifest(name) for name in (*on_the_way, "m2-checkpoint-3")]
    margins = [manifest.metadata["metrics"]["reward_margin"] for manifest in manifests if manifest]  # type: ignore[index,call-overload]
    assert margins == sorted(margins)
    assert margins[0] > 0
    assert (bench.model("m2-checkpoint-1") / "README.md").read_text().count("# m2-checkpoint-1\n") == 1


def test_two_processes_take_the_same_snapshots(bench: Bench) -> None:
    settings = {**SETTINGS, "dropout": 0, "perDeviceBatchSize": 2}
    made = [
        bench.run("dpo", f"{name}-2", settings, inputs=DPO, iteration=1, checkpoints=[f"{name}-1"], ranks=ranks)
        for name, ranks in (("one", 1), ("two", 2))
    ]
    assert [each.result["succeeded"] for each in made] == [True, True], made[1].errors
    one, two = (bench.store.read_manifest(f"{name}-1") for name in ("one", "two"))
    assert one is not None
    assert two is not None
    margins = [manifest.metadata["metrics"]["reward_margin"] for manifest in (one, two)]  # type: ignore[index,call-overload]
    assert margins[0] == pytest.approx(margins[1], abs=1e-4)
    assert made[1].result["metrics"]["reward_margin"] == pytest.approx(
        made[0].result["metrics"]["reward_margin"], abs=1e-4
    )
