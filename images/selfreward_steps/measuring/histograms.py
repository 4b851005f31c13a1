"""Histograms of scores, with the bars of one iteration at the same places as the next one's. Pure."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

_BARS: Final = 51
"""Most bars of a histogram: as many as 0 to 5 in tenths."""
DECIMALS: Final = 4
"""Scores are counted to this many decimals, finer than any judge means them; it bounds the counters."""


def histogram(counts: Mapping[float, int]) -> dict[str, Any]:
    """`{"width": w, "counts": {"4": 12, …}}`, lowest first, empty bars left out.

    With few different scores (a judge that says whole numbers) each has its own bar and `width` is null. Otherwise a
    bar stands at every multiple of `width`, a round number, and holds the scores nearest to it: so the histograms of
    two iterations have bars at the same places.
    """
    if len(counts) <= _BARS:
        return {"width": None, "counts": {f"{score:.10g}": counts[score] for score in sorted(counts)}}
    low, high = min(counts), max(counts)
    width = next(width for width in _widths() if _bar(high, width) - _bar(low, width) < _BARS)
    bars: Counter[int] = Counter()
    for score, count in counts.items():
        bars[_bar(score, width)] += count
    return {"width": width, "counts": {f"{bar * width:.10g}": bars[bar] for bar in sorted(bars)}}


def _bar(score: float, width: float) -> int:
    # 0.15 / 0.1 is a little less than 1.5: unrounded, neighbouring bars would get unequal shares.
    return math.floor(round(score / width, DECIMALS) + 0.5)


def _widths() -> Iterator[float]:
    """0.0001, 0.0002, 0.0005, 0.001, …: a custom scale may be of any size."""
    for exponent in itertools.count(-DECIMALS):
        yield from (float(f"{digit}e{exponent}") for digit in (1, 2, 5))
