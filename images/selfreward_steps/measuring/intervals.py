"""Rates over prompts with bootstrap intervals: how far a number may be chance.

Prompts are resampled, not answers or judgements, since those of one prompt are not independent. Prompts that add the
same to a rate are exchangeable, so the draw is over the different ones: a million prompts cost what a few hundred do.
It must not import scipy: the pairing step loads it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BOOTSTRAP_SAMPLES = 1000
CONFIDENCE = 0.95
Fraction = tuple[float, float]
"""What one prompt adds to a rate: numerator and denominator."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A mean over prompts or pairs with its bootstrap interval; `value` is None when nothing could be counted.

    One prompt has a value and no interval: it says nothing of how another would have been.
    """

    value: float | None
    low: float | None
    high: float | None
    count: float
    """What it was counted over: pairs, answers or prompts."""

    def as_json(self) -> dict[str, Any]:
        """Plain values, rounded to what an interval can carry."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {name: None if number is None else round(number, 6) for name, number in numbers.items()} | {
            "count": self.count
        }


def rate(fractions: Iterable[Fraction], seed: int) -> Rate:
    """Sum of numerators over sum of denominators, with a percentile bootstrap over the prompts."""
    return counted_rate(Counter(fractions), seed)


def counted_rate(fractions: Counter[Fraction], seed: int) -> Rate:
    """The same from how many prompts add which fraction."""
    return _bootstrapped(Counter({(each,): count for each, count in fractions.items()}), 1, seed)


def mean_of_rates(parts: Sequence[Sequence[Fraction]], seed: int) -> Rate:
    """The mean of several rates over the same prompts; None unless each has something to count."""
    return _bootstrapped(Counter(zip(*parts, strict=True)), len(parts), seed)


def _bootstrapped(prompts: Counter[tuple[Fraction, ...]], parts: int, seed: int) -> Rate:
    # Sorted, so that the interval does not depend on the order of the prompts.
    kinds = sorted(prompts)
    weights = np.array([prompts[kind] for kind in kinds], dtype=float)
    sums = np.array(kinds, dtype=float).reshape(-1, parts, 2)
    numerators, denominators = sums[:, :, 0], sums[:, :, 1]
    totals = weights @ denominators
    count = float(totals.sum())
    if not kinds or not np.all(totals > 0):
        return Rate(None, None, None, count)
    value = float(np.mean((weights @ numerators) / totals))
    if weights[denominators.any(axis=1)].sum() < 2:
        return Rate(value, None, None, count)
    number = int(weights.sum())
    draws = np.random.default_rng(seed).multinomial(number, weights / number, size=BOOTSTRAP_SAMPLES)
    drawn = draws @ denominators
    usable = np.all(drawn > 0, axis=1)
    means = np.mean((draws @ numerators)[usable] / drawn[usable], axis=1)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Rate(value, float(low), float(high), count)
