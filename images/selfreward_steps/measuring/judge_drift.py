"""Drift of a judge: how differently two judges order the same answers, one minus Kendall's τ-b of their scores.

A judge that orders answers anew with each round gives the next round noise to learn from (CREAM, arXiv 2410.12735,
trusts pairs by the same correlation between a model and the one before). People's ranks play no part: a judge may be as
good as the last one and yet another. Pure; it must not talk to a server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from scipy import stats

from selfreward_steps.measuring.intervals import Rate, mean

Scores = Sequence[float | None]


def judge_drift(prompts: Iterable[tuple[Scores, Scores]], seed: int) -> Rate:
    """Mean over prompts of 1 − τ-b: 0 where both judges order the answers alike, 1 where the orders have nothing to do
    with each other, 2 where one is the other's reverse.

    Each prompt has both judges' scores, answer by answer; those that either gives none are left out. Where one judge
    tells the answers apart and the other does not, it is 1; where neither does, the prompt says nothing and is not
    counted. `seed` makes the interval repeatable.
    """
    return mean(_drifts(prompts), seed)


def rank_correlation(mine: Sequence[float], other: Sequence[float]) -> float | None:
    """Kendall's τ-b of two orders of the same answers; None where either tells none of them apart."""
    if min(len(set(mine)), len(set(other))) < 2:
        return None
    return float(stats.kendalltau(mine, other).statistic)


def _drifts(prompts: Iterable[tuple[Scores, Scores]]) -> Iterator[float]:
    for mine, before in prompts:
        known = [(x, y) for x, y in zip(mine, before, strict=True) if x is not None and y is not None]
        orders = [len(set(scores)) > 1 for scores in zip(*known, strict=True)]
        if any(orders):
            yield 1.0 - float(stats.kendalltau(*zip(*known, strict=True)).statistic) if all(orders) else 1.0
