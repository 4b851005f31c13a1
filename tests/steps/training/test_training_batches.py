"""Which examples share a forward pass: those of like lengths, with no change to what is learnt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from selfreward_steps.contract import EXAMPLES_UNMEASURED, DpoSettings, ModelShape
from selfreward_steps.training.batches import Memory, by_length
from training_bench import Bench

PAD = 9


def batch(pairs: list[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
    """Pairs as TRL's collator makes them: chosen answers, then rejected ones, padded on the right."""
    rows = [chosen for chosen, _ in pairs] + [rejected for _, rejected in pairs]
    longest = max(map(len, rows))
    return {
        "input_ids": torch.tensor([row + [PAD] * (longest - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
        "ref_chosen_logps": torch.tensor([float(sum(chosen)) for chosen, _ in pairs]),
    }


def pairs_of(batches: list[dict[str, torch.Tensor]]) -> list[tuple[list[int], list[int], float]]:
    found = []
    for each in batches:
        rows = [ids[mask == 1].tolist() for ids, mask in zip(each["input_ids"], each["attention_mask"], strict=True)]
        half = len(rows) // 2
        found += list(zip(rows[:half], rows[half:], each["ref_chosen_logps"].tolist(), strict=True))
    return found


def test_pairs_of_like_lengths_share_a_forward_pass() -> None:
    long, short = ([1] * 8, [2]), ([3] * 2, [4] * 3)
    given = [batch([long, short]), batch([short, long])]
    made = by_length(given, 2, PAD)
    assert [tuple(each["input_ids"].shape) for each in made] == [(4, 8), (4, 3)]
    assert sorted(pairs_of(made)) == sorted(pairs_of(given))
    assert made[0]["input_ids"][2].tolist() == [2] + [PAD] * 7
    # One with nothing to exchange, and those of an epoch's end, are as they were.
    assert by_length(given[:1], 2, PAD) == given[:1]
    uneven = [batch([long, short]), batch([short])]
    assert by_length(uneven, 2, PAD) == uneven


def test_labels_are_padded_as_such() -> None:
    given = [
        {"input_ids": torch.tensor([row]), "labels": torch.tensor([row]), "attention_mask": torch.ones(1, len(row))}
        for row in ([1, 2], [3, 4, 5])
    ]
    joined = [{name: torch.cat([each[name]] * 2) for name in each} for each in given]
    joined[0]["attention_mask"][1, 1] = 0
    made = by_length(joined, 1, PAD)
    assert [each["labels"].tolist() for each in made] == [[[3, 4, 5], [3, 4, 5]], [[1, 2], [1, 2]]]
    uneven = [
        {"input_ids": torch.tensor([[1], [6]]), "labels": torch.tensor([[1], [6]]), "attention_mask": torch.ones(2, 1)},
        {"input_ids": torch.tensor([[7, 8], [2, PAD]]), "labels": torch.tensor([[7, 8], [2, -100]]),
         "attention_mask": torch.tensor([[1, 1], [1, 0]])},
    ]  # fmt: skip
    first, second = by_length(uneven, 1, PAD)
    assert first["labels"].tolist() == [[7, 8], [1, -100]]
    assert second["labels"].tolist() == [[6], [2]]


def test_what_is_learnt_is_the_same_however_a_batch_is_divided(bench: Bench) -> None:
    """DPO, since a mean over each forward pass's pairs is what could go wrong."""
    settings = {"learningRate": 1e-3, "minLearningRate": 1e-4, "batchSize": 8, "maxSteps": 3, "dropout": 0}
    inputs = {"model": "m0", "reference": "m0", "pairs": "iteration-1/pairs"}
    for size in (8, 2):
        chosen = {**settings, "perDeviceBatchSize": size}
        done = bench.run("dpo", f"by-{size}", chosen, inputs=inputs, iteration=1)
        assert done.result["succeeded"], done.errors
    whole, divided = (load_file(bench.model(f"by-{size}") / "model.safetensors") for size in (8, 2))
    for name, weight in whole.items():
        torch.testing.assert_close(divided[name], weight, rtol=0, atol=2e-5)


GB = 10**9
LARGE = Memory(
    ModelShape(8 * 10**9, 32, 4096, 14336, 1024), bytes_per_parameter=16, tokens=2 * 1024, processes=2, halves=True
)


@pytest.mark.parametrize(
    ("settings", "free", "memory", "expected"),
    [
        pytest.param({"per_device_batch_size": 3}, 1, LARGE, 3, id="stated"),
        pytest.param({}, None, LARGE, EXAMPLES_UNMEASURED, id="no-gpu"),
        pytest.param({}, 140 * GB, replace(LARGE, shape=None), EXAMPLES_UNMEASURED, id="unknown-architecture"),
        pytest.param({"loss_type": "aot"}, 140 * GB, LARGE, EXAMPLES_UNMEASURED, id="loss-of-a-pass"),
        pytest.param(
            {"additional_losses": [{"type": "sft", "weight": 1}]}, 140 * GB, LARGE, EXAMPLES_UNMEASURED, id="beside"
        ),
        # 64 GB of states and 1 of gathered layers; a pair keeps 2,048 x 32 x 242,176 bytes of activations: 15.9 GB.
        pytest.param({}, 140 * GB, LARGE, 3, id="large"),
        pytest.param({}, 140 * GB, replace(LARGE, tokens=2 * 256), 15, id="shorter"),
        pytest.param({}, 140 * GB, replace(LARGE, processes=1), 1, id="does-not-fit-at-all"),
        pytest.param({"gradient_checkpointing": True}, 140 * GB, LARGE, 38, id="checkpointing"),
    ],
)
def test_as_many_examples_share_a_forward_pass_as_the_gpu_has_memory_for(
    settings: dict[str, Any], free: int | None, memory: Memory, expected: int
) -> None:
    assert memory.examples(DpoSettings(**settings), free) == expected
