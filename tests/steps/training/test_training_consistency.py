"""The judge's consistency with the implicit reward: measured before the training, a weight and a filter in it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from scipy.stats import kendalltau
from training_bench import Bench, log_probability

FAST = {"learningRate": 1e-3, "minLearningRate": 1e-4, "batchSize": 8, "beta": 0.5}
ANSWERS = ["0 1 2 3.", "The sea and the wind.", "3 2 1 0."]


def judged_pairs(count: int = 8) -> list[dict[str, Any]]:
    """Pairs of three candidates each, whose scores are every order of three in turn."""
    rows = []
    for number in range(count):
        scores = [float((place * (1 + number % 2) + number) % 3) for place in range(3)]
        best, worst = (ANSWERS[scores.index(score)] for score in (max(scores), min(scores)))
        rows.append(
            {
                "id": f"p{number}",
                "prompt": [{"role": "user", "content": f"Count to {number}"}],
                "chosen": [{"role": "assistant", "content": best}],
                "rejected": [{"role": "assistant", "content": worst}],
                "chosen_score": 2.0,
                "rejected_score": 0.0,
                "candidates": [{"content": text, "score": score} for text, score in zip(ANSWERS, scores, strict=True)],
            }
        )
    return rows


def implied(bench: Bench, row: dict[str, Any], text: str) -> float:
    answer = [{"role": "assistant", "content": text}]
    policy, reference = (log_probability(bench.model(name), row["prompt"], answer) for name in ("m2", "m0"))
    return policy - reference


def test_pairs_are_weighed_and_left_out_by_what_is_measured_before(bench: Bench) -> None:
    first = bench.run(
        "dpo", "m2", {**FAST, "maxSteps": 2}, inputs={"model": "m0", "reference": "m0", "pairs": "iteration-1/pairs"}
    )
    assert first.result["succeeded"], first.errors
    rows = judged_pairs()
    bench.put("iteration-2/pairs", pairs=rows)
    rewards = [[implied(bench, row, text) for text in ANSWERS] for row in rows]
    orders = [[each["score"] for each in row["candidates"]] for row in rows]
    taus = [kendalltau(order, mine).statistic for order, mine in zip(orders, rewards, strict=True)]
    least = sorted(set(taus))[1] - 1e-6
    kept = [place for place, tau in enumerate(taus) if tau >= least]
    assert 0 < len(kept) < len(rows)
    weight = (1 + sum(taus) / len(taus)) / 2

    inputs = {"model": "m2", "reference": "m0", "pairs": "iteration-2/pairs"}
    settings = {**FAST, "maxSteps": 1, "referenceModel": "initial", "consistencyWeighted": True}
    done = bench.run(
        "dpo", "m3", {**settings, "batchSize": len(kept)}, inputs=inputs, iteration=2, minConsistency=least
    )
    assert done.result["succeeded"], done.errors
    metrics = done.result["metrics"]
    assert metrics["consistency"] == pytest.approx(sum(taus) / len(taus), abs=1e-6)
    assert metrics["consistency_weight"] == pytest.approx(weight, abs=1e-6)
    assert metrics["inconsistent_pairs"] == len(rows) - len(kept)
    losses = []
    for place in kept:
        best, worst = (rewards[place][orders[place].index(score)] for score in (2.0, 0.0))
        margin = FAST["beta"] * (best - worst)
        losses.append(weight * math.log1p(math.exp(-margin)) + (1 - weight) * math.log1p(math.exp(margin)))
    assert metrics["loss_first"] == pytest.approx(sum(losses) / len(losses), abs=2e-4)


def test_a_training_that_starts_from_its_reference_has_nothing_to_compare(bench: Bench) -> None:
    bench.put("iteration-1/judged", pairs=judged_pairs())
    inputs = {"model": "m0", "reference": "m0", "pairs": "iteration-1/judged"}
    settings = {**FAST, "maxSteps": 1, "referenceModel": "initial", "consistencyWeighted": True}
    done = bench.run("dpo", "m2", settings, inputs=inputs, iteration=1, minConsistency=1)
    assert done.result["succeeded"], done.errors
    assert not [name for name in done.result["metrics"] if "consisten" in name]
    assert done.result["metrics"]["examples"] == 8


def test_no_pair_left_is_one_clear_error(bench: Bench) -> None:
    first = bench.run(
        "dpo", "m2", {**FAST, "maxSteps": 1}, inputs={"model": "m0", "reference": "m0", "pairs": "iteration-1/pairs"}
    )
    assert first.result["succeeded"], first.errors
    row = judged_pairs(1)[0]
    order = sorted(ANSWERS, key=lambda text: implied(bench, row, text))
    assert all(implied(bench, row, one) < implied(bench, row, other) for one, other in pairwise(order))
    candidates = [{"content": text, "score": float(-place)} for place, text in enumerate(order)]
    bench.put("iteration-2/pairs", pairs=[row | {"candidates": candidates}])
    inputs = {"model": "m2", "reference": "m0", "pairs": "iteration-2/pairs"}
    done = bench.run("dpo", "m3", {**FAST, "referenceModel": "initial"}, inputs=inputs, iteration=2, minConsistency=0)
    assert done.result["reason"] == "NoConsistentPairs"
    assert "in none of 1 pairs does the judge's order agree" in done.result["message"]
