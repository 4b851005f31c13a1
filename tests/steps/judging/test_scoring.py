"""What a user's pattern, tokens and samples come to."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfreward_steps.contract import ScoreRange, mean_score
from selfreward_steps.judging.scoring import (
    expected_score,
    matched_score,
)

FIVE = ScoreRange(0, 5)


@pytest.mark.parametrize(
    ("critique", "pattern", "score"),
    [
        ("Rating: [[7]]", r"\[\[(\d+)\]\]", 7),
        ("[[3]] or [[8]]", r"\[\[(\d+)\]\]", 8),
        ("[[30]]", r"\[\[(\d+)\]\]", None),
        ("none", r"\[\[(\d+)\]\]", None),
        ("grade good", r"grade (\w+)", None),
        ("grade nan", r"grade (\w+)", None),
        ("grade inf", r"grade (\w+)", None),
        ("grade x", r"grade (?:x|(\d))", None),
    ],
)
def test_a_pattern_of_the_users(critique: str, pattern: str, score: float | None) -> None:
    assert matched_score(critique, re.compile(pattern), ScoreRange(1, 10)) == score


@pytest.mark.parametrize(
    ("top", "score", "mass"),
    [
        ([("4", 0.5), ("5", 0.5)], 4.5, 1.0),
        ([("4", 0.25), (" 4", 0.25), ("2", 0.25), ("The", 0.25)], (2 * 4 + 2) / 3, 0.75),
        ([("The", 0.9), ("7", 0.1)], None, 0.0),
        ([("4.", 0.3), ("٤", 0.1), ("4", 0.6)], 4.0, 0.6),
        # What the judge most likely does is something else: no score.
        ([("4.", 0.5), ("٤", 0.2), ("4", 0.1)], None, 0.1),
        ([("The", 0.51), ("4", 0.49)], None, 0.49),
        ([("The", 0.5), ("4", 0.5)], 4.0, 0.5),
        # A number of two digits is none on this scale, and to most tokenizers it would be its first digit.
        ([("10", 0.4), ("4", 0.6)], 4.0, 0.6),
        ([("4", 0.0)], None, 0.0),
        ([], None, 0.0),
    ],
)
def test_expected_score(top: list[tuple[str, float]], score: float | None, mass: float) -> None:
    found, weight = expected_score(top, FIVE)
    assert found == (None if score is None else pytest.approx(score, abs=1e-12))
    assert weight == pytest.approx(mass)


@given(st.lists(st.floats(1e-6, 1), min_size=6, max_size=6))
def test_expected_score_is_the_weighted_mean(weights: list[float]) -> None:
    total = math.fsum(weights)
    score, mass = expected_score([(str(points), weight / total) for points, weight in enumerate(weights)], FIVE)
    assert mass == pytest.approx(1)
    assert score == pytest.approx(sum(points * weight for points, weight in enumerate(weights)) / total)


def test_means_leave_out_what_did_not_parse() -> None:
    assert mean_score([3, None, 4]) == 3.5
    assert mean_score([None, None]) is None
    assert mean_score([]) is None
