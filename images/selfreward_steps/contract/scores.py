"""Scores of a judge: the range that counts, and the mean of several samples.

The steps read and average what a judge says; the control plane tells the import a template's range, and its report
shows the mean beside each answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple


class ScoreRange(NamedTuple):
    """The scores that count, both ends included."""

    low: float
    high: float

    def clip_none(self, score: float) -> float | None:
        """`score`, or None when it is out of range or not a number."""
        return score if self.low <= score <= self.high else None


def mean_score(samples: Iterable[float | None]) -> float | None:
    """Mean of the samples that have a score (paper section 2.2); None where none has."""
    known = [score for score in samples if score is not None]
    return math.fsum(known) / len(known) if known else None
