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

from selfreward_steps.measuring.intervals import Fraction, Rate, mean, mean_of_shares, share


@dataclass(frozen=True, slots=True)
class RankedScores:
    """One prompt's answers: people's ranks (0 is best, ties allowed), the judge's scores, lengths in characters."""

    ranks: Sequence[int]
    scores: Sequence[float | None]
    lengths: Sequence[int]

    @property
    def best_is_scored(self) -> bool:
        """Whether the judge gave a score to any of the answers that people rank first."""
        best = min(self.ranks, default=0)
        return any(rank == best and score is not None for rank, score in zip(self.ranks, self.scores, strict=True))

    def scored(self) -> RankedScores:
        """Without the answers to which the judge gave no score."""
        keep = [i for i, score in enumerate(self.scores) if score is not None]
        return RankedScores(
            [self.ranks[i] for i in keep], [self.scores[i] for i in keep], [self.lengths[i] for i in keep]
        )

    def by_length(self) -> RankedScores:
        """What a judge that only counts characters says."""
        return RankedScores(self.ranks, [float(length) for length in self.lengths], self.lengths)


def judge_quality(
    prompts: Sequence[RankedScores], *, max_score: float, seed: int, nearest: bool = False
) -> dict[str, Rate]:
    """Every number by name. Answers without a score are left out; with no prompt, every value is None.

    `nearest`: a score is the top one when it is nearest to it, since expected scores (`judge.mode: logprob`) never
    reach it. `seed` makes the correlations' intervals repeatable.
    """
    top_score = max_score - 0.5 if nearest else max_score
    scored = [prompt.scored() for prompt in prompts]
    lengths = [prompt.by_length() for prompt in scored]
    return {
        "pairwise_accuracy": share(map(_pairwise, scored)),
        "pairwise_accuracy_longest_wins": share(map(_pairwise, lengths)),
        "pairwise_accuracy_length_balanced": _length_balanced(scored),
        "best_of_top_score": share(_top_is_best(prompt, top_score) for prompt in prompts),
        "exact_match": share(map(_exact, scored)),
        "spearman": mean(_correlations(scored, stats.spearmanr), seed),
        "kendall_tau": mean(_correlations(scored, stats.kendalltau), seed),
    }


def win_rates(outcomes: Sequence[int]) -> dict[str, Rate]:
    """Head to head over prompts: 1 is a win, 0 a tie (or a disagreement of the two orders), -1 a loss."""
    return {
        name: share((float(outcome == sign), 1.0) for outcome in outcomes)
        for name, sign in (("win", 1), ("tie", 0), ("loss", -1))
    }


def sign_test(outcomes: Sequence[int]) -> float | None:
    """p of the exact two-sided sign test: how often a coin would part wins and losses as unevenly, ties left out.

    None where every prompt is a tie.
    """
    wins, losses = outcomes.count(1), outcomes.count(-1)
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else None


def _length_balanced(prompts: Sequence[RankedScores]) -> Rate:
    """Mean of the accuracies on pairs whose better answer is longer and on those where it is shorter.

    A judge of length alone gets one half here, whatever the data.
    """
    return mean_of_shares([[_pairwise(prompt, longer=longer) for prompt in prompts] for longer in (True, False)])


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


def _top_is_best(prompt: RankedScores, top_score: float) -> Fraction:
    """5-best: of the answers that get the top score, those that people rank first.

    A prompt whose best answer has no score tells nothing: what was second may be the best that the judge has seen.
    """
    if not prompt.best_is_scored:
        return 0.0, 0.0
    scores = zip(prompt.ranks, prompt.scores, strict=True)
    top = [rank for rank, score in scores if score is not None and score >= top_score]
    return float(sum(rank == min(prompt.ranks) for rank in top)), float(len(top))


def _exact(prompt: RankedScores) -> Fraction:
    """Whether the judge's order is people's, ties included; a lone answer says nothing."""
    if len(prompt.ranks) < 2:
        return 0.0, 0.0
    people = stats.rankdata(prompt.ranks, method="dense")
    judge = stats.rankdata([-_known(score) for score in prompt.scores], method="dense")
    return float(np.array_equal(people, judge)), 1.0


def _correlations(prompts: Sequence[RankedScores], statistic: Callable[..., Any]) -> Iterator[float]:
    """Rank correlation of each prompt that people rank; scores that are all equal carry no order and count as 0."""
    for prompt in prompts:
        if len(set(prompt.ranks)) < 2:
            continue
        if len(set(prompt.scores)) < 2:
            yield 0.0
            continue
        result = statistic([-rank for rank in prompt.ranks], [_known(score) for score in prompt.scores])
        yield float(result.statistic)


def _known(score: float | None) -> float:
    assert score is not None
    return score
