"""What the truth says of a finished run: how good each model's answers are, and how right each model judges.

Reads what the run committed and nothing else: the evaluation's answers and judgements, and the pairs' statistics.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

from known_world.language import true_quality


@dataclass(frozen=True)
class ModelTruth:
    """One model against the truth. The accuracies are over pairs of ranked answers; a tie is half right."""

    model: str
    quality: float
    """Mean true quality, 0 to 5, of its answers to held-out prompts."""
    words: float
    """Mean length of these answers."""
    judge: float | None
    """Share of pairs that its judgements order as the truth does."""
    longest: float | None
    """The same for "the longer one wins"."""


def models_truth(artifacts: Path) -> list[ModelTruth]:
    """M1 and every model after it, in order."""
    return [_model_truth(folder) for folder in sorted((artifacts / "evaluation").glob("m*"))]


def statistics(artifacts: Path, iteration: int) -> dict[str, Any] | None:
    """What the step pairs counted; None when it committed nothing."""
    path = artifacts / f"iteration-{iteration}" / "pairs" / "statistics.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def answers(folder: Path) -> list[tuple[str, str, float]]:
    """Prompt, answer and its true quality, 0 to 5, of each held-out prompt of a model's evaluation."""
    rows = _rows(folder / "answers.jsonl")
    return [(row["prompt"], row["answer"], true_quality(row["prompt"], row["answer"])) for row in rows]


def _model_truth(folder: Path) -> ModelTruth:
    answered = answers(folder)
    test = folder.parent.parent / "eft" / "test.jsonl"
    ranked = list(_rows(test)) if test.exists() else []
    judged = list(_rows(folder / "judge.jsonl")) if ranked else []
    qualities, scores, lengths = [], [], []
    for row, said in zip(ranked, judged, strict=True):
        texts = [answer["content"] for answer in row["answers"]]
        qualities.append([true_quality(row["prompt"], text) for text in texts])
        scores.append([_mean(answer["scores"]) for answer in said["answers"]])
        lengths.append([float(len(text.split())) for text in texts])
    return ModelTruth(
        model=folder.name,
        quality=fmean(quality for _, _, quality in answered),
        words=fmean(len(answer.split()) for _, answer, _ in answered),
        judge=agreement(qualities, scores),
        longest=agreement(qualities, lengths),
    )


def agreement(truth: Sequence[Sequence[float]], said: Sequence[Sequence[float | None]]) -> float | None:
    """Share of the pairs within a prompt, of different true quality, that `said` orders as the truth does.

    A tie, and an answer without a score, is half right: as right as a coin. None when there is no pair.
    """
    right = [
        0.5 if a is None or b is None or a == b else float((a > b) == (better > worse))
        for qualities, scores in zip(truth, said, strict=True)
        for (better, a), (worse, b) in combinations(zip(qualities, scores, strict=True), 2)
        if better != worse
    ]
    return fmean(right) if right else None


def _mean(scores: Sequence[float | None]) -> float | None:
    stated = [score for score in scores if score is not None]
    return fmean(stated) if stated else None


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)
