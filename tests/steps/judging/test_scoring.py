"""Which score a critique states, and what tokens and samples come to."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfreward_steps.judging.scoring import (
    ScoreRange,
    expected_score,
    matched_score,
    mean_score,
    score_std,
    stated_score,
)

FIVE = ScoreRange(0, 5)


@pytest.mark.parametrize(
    ("critique", "score"),
    [
        ("Good.\nScore: 4", 4),
        ("Score: 0", 0),
        ("Score: 5", 5),
        ("score: 3.5", 3.5),
        ("SCORE: 2", 2),
        ("Score:4", 4),
        ("Score : 4", 4),
        ("Score = 4", 4),
        ("**Score: 3**", 3),
        ("**Score:** 3", 3),
        ("**Score**: **3**", 3),
        ("Score: `3`", 3),
        ("Score: <3>", 3),
        ("Score: [3]", 3),
        ("Score: (3)", 3),
        ("Score: 4/5", 4),
        ("Score: **4**/5", 4),
        ("Score: 4 / 5", 4),
        ("Score: 4 out of 5", 4),
        ("Score (out of 5): 4", 4),
        ("Total score: 4", 4),
        ("Score: 4 points", 4),
        ("Score: 4.", 4),
        ("Score: 4. It is good.", 4),
        ("Score: 4, since it is good.", 4),
        ("Score: 4 - it is good", 4),
        ("Score:\n4", 4),
        ("Score:\n\n**4**\n", 4),
        ("Score: 1 + 1 + 1 = 3", 3),
        ("Score: 1+1+1+1=**4**", 4),
        # The last one counts: the critique reasons first.
        ("Score: 2. On reflection it is better. Score: 4", 4),
        ('It asks for "Score: <total points>".\nScore: 2', 2),
        ('Score: 2\nI used the format "Score: <total points>".', 2),
        # Nothing stated.
        ("", None),
        ("A fine answer.", None),
        ("Score: <total points>", None),
        ("Score: high", None),
        ("Score:", None),
        ("Scores: 4", None),
        ("Underscore: 4", None),
        ("I give it 4 points", None),
        ("Score:\n1. The answer is relevant.\n2. It is clear.", None),
        # Stated, but not in range or not on this scale; an earlier score is no substitute.
        ("Score: 6", None),
        ("Score: -1", None),
        ("Score: −1", None),
        ("Score: 45", None),
        ("Score: 8/10", None),
        ("Score: 4/10", None),
        ("Score: 4 out of 10", None),
        ("Score: 80/100", None),
        ("Score: 4%", None),
        ("Score: 3-4", None),
        ("Score: 3 – 4", None),
        ("Score: 3 or 4", None),
        ("Score: 3 to 4", None),
        ("Score: 4,5", None),
        ("Score: 1 + 1 + 1", None),
        ("Score: 1 + 5 = 6", None),
        ("Score: 4\nNo. Score: 9", None),
    ],
)
def test_the_last_score_stated(critique: str, score: float | None) -> None:
    assert stated_score(critique, FIVE) == score


@given(st.text(), st.integers(0, 5), st.sampled_from(["", "\n", ".", "**", " points", "/5", "\n\nThank you."]))
def test_whatever_comes_before_the_score_line_is_read(critique: str, score: int, after: str) -> None:
    assert stated_score(f"{critique}\nScore: {score}{after}", FIVE) == score


@given(st.text(alphabet="Score: 0123456789/.-+=%*<>\nof ", max_size=30))
def test_never_anything_out_of_range(critique: str) -> None:
    score = stated_score(critique, FIVE)
    assert score is None or 0 <= score <= 5


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
        ([("4.", 0.5), ("٤", 0.2), ("4", 0.1)], 4.0, 0.1),
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
    assert score_std([3, None, 5]) == 1
    assert score_std([3, None]) == 0
    assert score_std([]) == 0
