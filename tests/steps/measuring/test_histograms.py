"""Histograms: a bar for each score while they are few, else round widths."""

from collections import Counter
from typing import Any

import pytest
from selfreward_steps.measuring.histograms import histogram


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, {"width": None, "counts": {}}),
        ({5.0: 1, -1.0: 2, 0.5: 3}, {"width": None, "counts": {"-1": 2, "0.5": 3, "5": 1}}),
        (
            {n / 100: 1 for n in range(501)},
            {"width": 0.1, "counts": {f"{n / 10:g}": 5 if n == 0 else 6 if n == 50 else 10 for n in range(51)}},
        ),
    ],
    ids=["empty", "each its own bar", "tenths of 0 to 5"],
)
def test_histogram(counts: dict[float, int], expected: dict[str, Any]) -> None:
    assert histogram(Counter(counts)) == expected


@pytest.mark.parametrize("scale", [0.01, 1, 37, 1e6])
def test_histogram_of_any_scale_keeps_every_count(scale: float) -> None:
    counts = Counter(round(scale * (n * 0.6180339887 % 1), 4) for n in range(5000))
    found = histogram(counts)
    assert sum(found["counts"].values()) == 5000
    assert 20 < len(found["counts"]) <= 51
