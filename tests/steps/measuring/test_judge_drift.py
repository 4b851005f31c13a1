"""Drift of a judge: pairs of answers counted by hand, and what says nothing."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfreward_steps.measuring.judge_drift import Scores, judge_drift


def drift(*prompts: tuple[Scores, Scores]) -> tuple[float | None, float]:
    found = judge_drift(prompts, seed=0)
    return found.value, found.count


@pytest.mark.parametrize(
    ("mine", "before", "value"),
    [
        pytest.param([1, 3, 5], [1, 3, 5], 0.0, id="the same"),
        pytest.param([1, 3, 5], [0, 0.1, 4], 0.0, id="another scale"),
        pytest.param([1, 3, 5], [5, 3, 1], 2.0, id="reversed"),
        pytest.param([1, 2, 3], [1, 3, 2], 2 / 3, id="one pair of three"),
        pytest.param([None, 3, 5], [9, 3, 5], 0.0, id="one has no score"),
        pytest.param([4, 4, 4], [1, 3, 5], 1.0, id="collapsed"),
        pytest.param([1, 3, 5], [4, 4, 4], 1.0, id="came to tell answers apart"),
        pytest.param([4, 4, 4], [2, 2, 2], None, id="neither tells them apart"),
        pytest.param([None, 3], [3, None], None, id="nothing in common"),
        pytest.param([], [], None, id="no answers"),
    ],
)
def test_one_prompt(mine: Scores, before: Scores, value: float | None) -> None:
    assert drift((mine, before)) == (pytest.approx(value), 0 if value is None else 1)


def test_the_mean_is_over_prompts_that_say_something() -> None:
    assert drift(([1, 2], [1, 2]), ([1, 2], [2, 1]), ([1, 1], [1, 1])) == (1.0, 2)


_SCORES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=6)


@given(_SCORES)
def test_it_is_kendalls_with_ties_counted(scores: list[tuple[int, int]]) -> None:
    """τ-b by its definition: concordant less discordant pairs, over the mean of the pairs that each judge decides."""
    pairs = [(a - c, b - d) for (a, b), (c, d) in combinations(scores, 2)]
    mine, before = (sum(pair[place] != 0 for pair in pairs) for place in (0, 1))
    if mine or before:
        agreed = sum((x * y > 0) - (x * y < 0) for x, y in pairs)
        tau = agreed / math.sqrt(mine * before) if mine and before else 0
        assert drift(([a for a, _ in scores], [b for _, b in scores]))[0] == pytest.approx(1 - tau)
