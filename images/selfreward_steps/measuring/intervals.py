"""Shares and means over prompts with their 95% intervals: how far a number may be chance.

Prompts are the independent draws, not the answers or judgements of one of them. A share (of prompts, pairs,
judgements) has the exact interval of Clopper and Pearson; where one prompt adds several, at the effective sample size
of Korn and Graubard (Survey Methodology 24, 1998). It has a width at 0 and 100% too, where a percentile bootstrap has
none, and covers 95% at every rate, where Wilson's goes down to 84% (ten prompts, a rate of 0.98). Any other mean is
bootstrapped. It must not import `scipy.stats`, which takes over a second: the pairing step loads it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

BOOTSTRAP_SAMPLES: Final = 1000
CONFIDENCE: Final = 0.95
_TAIL: Final = (1 - CONFIDENCE) / 2
_NORMAL: Final = float(special.ndtri(1 - _TAIL))
_NOTHING: Final = 1e-12
"""What rounding leaves of zero."""
Fraction = tuple[float, float]
"""What one prompt adds to a rate: numerator and denominator."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share or a mean with its interval; `value` is None when nothing could be counted.

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


@dataclass(frozen=True, slots=True)
class _Prompts:
    """Prompts by what they add; those that add the same are one row, so a million cost what a few hundred do."""

    weights: NDArray[np.float64]
    """How many prompts each row stands for."""
    numerators: NDArray[np.float64]
    """A row a kind of prompt, a column a rate."""
    denominators: NDArray[np.float64]

    @classmethod
    def of(cls, prompts: Counter[tuple[Fraction, ...]], parts: int) -> _Prompts:
        # Sorted, so that a bootstrap does not depend on the order of the prompts. Some add nothing at all.
        kinds = sorted(kind for kind in prompts if any(denominator for _, denominator in kind))
        sums = np.array(kinds, dtype=float).reshape(-1, parts, 2)
        return cls(np.array([prompts[kind] for kind in kinds], dtype=float), sums[:, :, 0], sums[:, :, 1])

    @property
    def number(self) -> int:
        return int(self.weights.sum())

    @property
    def totals(self) -> NDArray[np.float64]:
        found: NDArray[np.float64] = self.weights @ self.denominators
        return found

    @property
    def values(self) -> NDArray[np.float64]:
        """The rates as numbers, without their intervals."""
        found: NDArray[np.float64] = (self.weights @ self.numerators) / self.totals
        return found


def share(fractions: Iterable[Fraction]) -> Rate:
    """Sum of numerators over sum of denominators, each numerator from 0 to its denominator."""
    return counted_share(Counter(fractions))


def counted_share(fractions: Counter[Fraction]) -> Rate:
    """The same from how many prompts add which fraction."""
    return _share(Counter({(each,): count for each, count in fractions.items()}), 1)


def mean_of_shares(parts: Sequence[Sequence[Fraction]]) -> Rate:
    """The mean of several shares over the same prompts; None unless each has something to count."""
    return _share(Counter(zip(*parts, strict=True)), len(parts))


def mean(values: Iterable[float], seed: int) -> Rate:
    """The mean of a number a prompt, with a percentile bootstrap over the prompts."""
    prompts = _Prompts.of(Counter(((value, 1.0),) for value in values), 1)
    if not prompts.number:
        return Rate(None, None, None, 0.0)
    value, count = float(prompts.values[0]), float(prompts.number)
    if len(prompts.weights) < 2:
        # Where all say the same, resampling them says nothing of what another would.
        return Rate(value, None, None, count)
    draws = np.random.default_rng(seed).multinomial(prompts.number, prompts.weights / count, size=BOOTSTRAP_SAMPLES)
    means = (draws @ prompts.numerators)[:, 0] / count
    low, high = np.quantile(means, [_TAIL, 1 - _TAIL])
    return Rate(value, float(low), float(high), count)


def _share(counted: Counter[tuple[Fraction, ...]], parts: int) -> Rate:
    prompts = _Prompts.of(counted, parts)
    count = float(prompts.totals.sum())
    if not prompts.number or not np.all(prompts.totals > 0):
        return Rate(None, None, None, count)
    value = min(max(float(np.mean(prompts.values)), 0.0), 1.0)
    if prompts.number < 2:
        return Rate(value, None, None, count)
    low, high = _exact(value, _effective_size(prompts, value))
    return Rate(value, low, high, count)


def _effective_size(prompts: _Prompts, value: float) -> float:
    """How many independent draws tell as much as these prompts do: at most one for each thing that was counted.

    From the share's variance over prompts, made smaller for what is not known of a variance from few prompts. When all
    prompts agree there is none to see; then a prompt counts once, however much it adds.
    """
    totals = prompts.totals
    parts = len(totals)
    counted = parts**2 / float(np.sum(1 / totals))
    if prompts.denominators.sum(axis=1).max() <= 1:
        return counted
    sizes = (prompts.denominators / totals).mean(axis=1)
    alike = 1 / float(prompts.weights @ sizes**2)
    deviations = ((prompts.numerators - prompts.values * prompts.denominators) / totals).mean(axis=1)
    variance = float(prompts.weights @ deviations**2) * prompts.number / (prompts.number - 1)
    if variance < _NOTHING:
        return min(alike, counted)
    unsure = (_NORMAL / float(special.stdtrit(max(alike - 1, 1), 1 - _TAIL))) ** 2
    return min(value * (1 - value) / variance * unsure, counted)


def _exact(value: float, size: float) -> tuple[float, float]:
    """Clopper and Pearson's interval for `value` of `size` draws, which need not be whole numbers."""
    hits, misses = value * size, (1 - value) * size
    low = float(special.betaincinv(hits, misses + 1, _TAIL)) if hits > _NOTHING else 0.0
    high = float(special.betaincinv(hits + 1, misses, 1 - _TAIL)) if misses > _NOTHING else 1.0
    return low, high
