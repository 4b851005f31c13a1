"""The documents and rows that evaluations and pairs leave, made up: their numbers mean nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

_RANKED = ("The answer that people like best.", "One that they like less.", "One that they like least.")


def ranked_rows(rng: random.Random, prompts: int) -> Iterator[dict[str, Any]]:
    """`eft/test.jsonl`: prompts with three answers that people ranked."""
    for place in range(prompts):
        answers = [
            {"rank": rank, "content": f"{text} ({place}, {rng.random():.3f})"} for rank, text in enumerate(_RANKED)
        ]
        yield {"id": f"ranked-{place:06d}", "prompt": f"Which of them, {place}?", "answers": answers}


def judged_rows(rng: random.Random, prompts: int) -> Iterator[dict[str, Any]]:
    """`judge.jsonl`: what a model said of them. The first is judged against people's order, the second alike."""
    for place in range(prompts):
        scores = [[1.0, 3.0, 5.0], [2.0, 2.0, 2.0]][place] if place < 2 else [float(rng.randint(0, 5)) for _ in _RANKED]
        answers = [
            {"rank": rank, "scores": [score, score], "critiques": [f"I would say {score:g}.", ""]}
            for rank, score in enumerate(scores)
        ]
        yield {"id": f"ranked-{place:06d}", "prompt": f"Which of them, {place}?", "answers": answers}


def comparison_rows(
    rng: random.Random, prompts: int, write: Callable[[random.Random, int], str]
) -> Iterator[dict[str, Any]]:
    """`comparisons.jsonl`: won, tied and lost in turn."""
    for place in range(prompts):
        yield {
            "id": f"held-{place:06d}",
            "prompt": write(rng, 60),
            "answer": write(rng, 300),
            "against": write(rng, 200),
            "outcome": 1 - place % 3,
        }


def metrics(model: int) -> dict[str, Any]:
    """`metrics.json` of an evaluation; a later model is better."""

    def rate(value: float) -> dict[str, float]:
        return {"value": round(value, 6), "low": round(value - 0.04, 6), "high": round(value + 0.04, 6), "count": 400.0}

    gain = 0.05 * (model - 1)
    found: dict[str, Any] = {
        "judge": {
            "prompts": 120,
            "judgements": 1200,
            "parse_rate": 0.9,
            "pairwise_accuracy": rate(0.65 + gain),
            "pairwise_accuracy_longest_wins": rate(0.66),
            "pairwise_accuracy_length_balanced": rate(0.55 + gain),
            "best_of_top_score": rate(0.4),
            "exact_match": rate(0.1 + gain),
            "spearman": rate(0.25 + gain),
            "kendall_tau": {"value": None, "low": None, "high": None, "count": 0.0},
        },
        "answers": {"prompts": 256, "truncated": 7, "mean_chars": 1000.0 + 300 * model},
    }
    found["lm_eval"] = {
        "arc_easy/acc": rate(0.7 - 2 * gain) | {"stderr": 0.02, "higher_is_better": True},
        "mmlu/acc": rate(0.4) | {"stderr": 0.02, "higher_is_better": True},
        "mmlu_law/acc": rate(0.4) | {"stderr": 0.02, "higher_is_better": True, "group": "mmlu"},
        "wikitext/word_perplexity": {
            "value": 12.5,
            "low": None,
            "high": None,
            "stderr": None,
            "higher_is_better": False,
        },
    }
    if model == 0:
        del found["lm_eval"]
    if model == 1:
        rates = {"win": rate(0.5), "tie": rate(0.3), "loss": rate(0.2)}
        found["head_to_head_baseline"] = {"prompts": 256, "unparsed": 3, **rates, "p_value": 1e-6}
    if model > 1:
        rates = {"win": rate(0.3 + 2 * gain), "tie": rate(0.4), "loss": rate(0.3 - 2 * gain)}
        found["head_to_head"] = {"prompts": 256, "unparsed": 3, **rates, "p_value": 1e-6}
    return found


def statistics(prompts: int, pairs: int, iteration: int) -> dict[str, Any]:
    """`statistics.json` of the pairs step."""
    return {
        "prompts": prompts,
        "pairs": pairs,
        "prompts_without_pair": {"unscored": 0, "tied": prompts - pairs},
        "candidates": 4 * prompts,
        "judgements": 12 * prompts,
        "parse_rate": 0.95,
        "mean_score": 2.5 + 0.2 * iteration,
        "top_score_share": 0.1 * iteration,
        "score_histogram": {"width": None, "counts": {"0": 5, "1": 9, "2": 16, "3": 30, "4": 26, "5": 10 * iteration}},
        "mean_candidate_chars": 1100.0,
        "mean_chosen_chars": 1300.0,
        "mean_rejected_chars": 900.0,
        "mean_margin": 1.25,
    }
