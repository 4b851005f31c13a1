"""Measures of a judge against people's rankings: the paper's five numbers, and what length alone would reach.

Paper section 3.2 and table 4: pairwise accuracy, 5-best, exact match, Spearman, Kendall's tau. Beside them a
judge that prefers the longer answer, and the pairwise accuracy where length decides nothing, because on real
rankings "the longer one wins" agrees with people on most pairs already. Pure; it must not talk to a server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from selfreward_steps.measuring.intervals import Fraction, Rate, mean_of_rates, rate


@dataclass(frozen=True, slots=True)
class RankedScores:
    """One prompt's answers: people's ranks (0 is best, ties allowed), the judge's scores, lengths in characters."""

    ranks: Sequence[int]
    scores: Sequence[float | None]
    lengths: Sequence[int]

    def scored(self) -> RankedScores:
        """Without the answers to which the judge gave no score."""
        keep = [i for i, score in enumerate(self.scores) if score is not None]
        return RankedScores(
            [self.ranks[i] for i in keep], [self.scores[i] for i in keep], [self.lengths[i] for i in keep]
        )

    def by_length(self) -> RankedScores:
        """What a judge that only counts characters says."""
        return RankedScores(self.ranks, [float(length) for length in self.lengths], self.lengths)


def judge_quality(prompts: Sequence[RankedScores], *, max_score: float, seed: int) -> dict[str, Rate]:
    """Every number by name. Answers without a score are left out; with no prompt, every value is None.

    `seed` makes the intervals repeatable; they resample prompts, since answers of one prompt are not independent.
    """
    scored = [prompt.scored() for prompt in prompts]
    lengths = [prompt.by_length() for prompt in scored]
    return {
        "pairwise_accuracy": rate([_pairwise(prompt) for prompt in scored], seed),
        "pairwise_accuracy_longest_wins": rate([_pairwise(prompt) for prompt in lengths], seed),
        "pairwise_accuracy_length_balanced": _length_balanced(scored, seed),
        "best_of_top_score": rate([_top_is_best(prompt, max_score) for prompt in scored], seed),
        "exact_match": rate([_exact(prompt) for prompt in scored], seed),
        "spearman": rate([_correlation(prompt, stats.spearmanr) for prompt in scored], seed),
        "kendall_tau": rate([_correlation(prompt, stats.kendalltau) for prompt in scored], seed),
    }


def win_rates(outcomes: Sequence[int], seed: int) -> dict[str, Rate]:
    """Head to head over prompts: 1 is a win, 0 a tie (or a disagreement of the two orders), -1 a loss."""
    return {
        name: rate([(float(outcome == sign), 1.0) for outcome in outcomes], seed)
        for name, sign in (("win", 1), ("tie", 0), ("loss", -1))
    }


def _length_balanced(prompts: Sequence[RankedScores], seed: int) -> Rate:
    """Mean of the accuracies on pairs whose better answer is longer and on those where it is shorter.

    A judge of length alone gets one half here, whatever the data.
    """
    return mean_of_rates([[_pairwise(prompt, longer=longer) for prompt in prompts] for longer in (True, False)], seed)


def _pairs(prompt: RankedScores) -> Iterator[tuple[int, int]]:
    """Indices (better, worse) of every pair that people did not rank equal."""
    for i, j in combinations(range(len(prompt.ranks)), 2):
        if prompt.ranks[i] != prompt.ranks[j]:
            yield (i, j) if prompt.ranks[i] < prompt.ranks[j] else (j, i)


def _pairwise(prompt: RankedScores, *, longer: bool | None = None) -> Fraction:
    """Agreement over pairs; a tie of the judge counts one half, what a coin would get."""
    agreed, pairs = 0.0, 0
    for better, worse in _pairs(prompt):
        difference = prompt.lengths[better] - prompt.lengths[worse]
        if longer is not None and (difference == 0 or (difference > 0) is not longer):
            continue
        pairs += 1
        agreed += _agreement(prompt.scores[better], prompt.scores[worse])
    return agreed, float(pairs)


def _agreement(better: float | None, worse: float | None) -> float:
    assert better is not None
    assert worse is not None
    return 0.5 if better == worse else float(better > worse)


def _top_is_best(prompt: RankedScores, max_score: float) -> Fraction:
    """5-best: of the answers that get the top score, those that people rank first."""
    top = [rank for rank, score in zip(prompt.ranks, prompt.scores, strict=True) if score == max_score]
    best = min(prompt.ranks, default=0)
    return float(sum(rank == best for rank in top)), float(len(top))


def _exact(prompt: RankedScores) -> Fraction:
    """Whether the judge's order is people's, ties included; a lone answer says nothing."""
    if len(prompt.ranks) < 2:
        return 0.0, 0.0
    people = stats.rankdata(prompt.ranks, method="dense")
    judge = stats.rankdata([-_known(score) for score in prompt.scores], method="dense")
    return float(np.array_equal(people, judge)), 1.0


def _correlation(prompt: RankedScores, statistic: Callable[..., Any]) -> Fraction:
    """Rank correlation of one prompt; scores that are all equal carry no order and count as 0."""
    if len(set(prompt.ranks)) < 2:
        return 0.0, 0.0
    if len(set(prompt.scores)) < 2:
        return 0.0, 1.0
    result = statistic([-rank for rank in prompt.ranks], [_known(score) for score in prompt.scores])
    return float(result.statistic), 1.0


def _known(score: float | None) -> float:
    assert score is not None
    return score
