"""The judgement that is learnt of each answer: in people's order, nearest to the means, and ending at its score."""

from __future__ import annotations

import math
from itertools import combinations, product
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfreward_steps.contract import ScoreRange
from selfreward_steps.judging.kept_judgements import agreeing_choice, until_score
from selfreward_steps.judging.scoring import stated_score


@pytest.mark.parametrize(
    ("ranks", "scores", "kept"),
    [
        pytest.param([0, 1], [[5, 2, 2], [3, 3, 2]], [5, 3], id="the-nearest-to-the-means-would-contradict"),
        pytest.param([0, 1], [[4, 4, 5], [4, 4, 3]], [4, 3], id="the-nearest-to-the-means-would-be-one-score"),
        pytest.param([1, 0], [[3, 1], [3, 3]], [1, 3], id="people's-order-is-not-the-answers'"),
        pytest.param([0, 1, 1, 2], [[5], [2], [4], [2]], [5, 2, 4, 2], id="among-equals-any-order"),
        pytest.param([0, 1, 1, 2], [[3], [2], [4], [2]], None, id="one-of-two-equals-above-the-best"),
        pytest.param([0, 1, 2], [[4], [5, 1], [3]], None, id="no-choice"),
        pytest.param([0, 1], [[3, 3], [3, 3]], None, id="one-score-for-all"),
        pytest.param([0, 1], [[None, 4], [2, None]], [4, 2], id="some-state-none"),
        pytest.param([0], [[4]], None, id="a-lone-answer-has-no-order"),
        pytest.param([], [], None, id="nothing"),
    ],
)
def test_kept_scores_are_in_peoples_order(
    ranks: list[int], scores: list[list[float | None]], kept: list[float] | None
) -> None:
    choice = agreeing_choice(ranks, scores)
    assert (None if choice is None else [scores[i][k] for i, k in enumerate(choice)]) == kept


SCORES = st.lists(st.sampled_from([None, 0.0, 1.0, 2.0, 3.0]), min_size=1, max_size=3).filter(
    lambda each: any(score is not None for score in each)
)


@given(st.lists(st.tuples(st.integers(0, 3), SCORES), max_size=5))
def test_it_is_the_nearest_of_all_choices(answers: list[tuple[int, list[float | None]]]) -> None:
    """Against trying every combination."""
    ranks, scores = [rank for rank, _ in answers], [each for _, each in answers]
    means = [fmean(score for score in each if score is not None) for each in scores]
    allowed = []
    for kept in product(*(range(len(each)) for each in scores)):
        chosen = [each[k] for each, k in zip(scores, kept, strict=True)]
        known = [score for score in chosen if score is not None]
        if len(known) == len(chosen) and len(set(known)) > 1 and in_order(ranks, known):
            allowed.append(math.fsum(abs(score - mean) for score, mean in zip(known, means, strict=True)))
    choice = agreeing_choice(ranks, scores)
    if choice is None:
        assert allowed == []
        return
    chosen = [scores[i][k] for i, k in enumerate(choice)]
    distance = math.fsum(abs(score - mean) for score, mean in zip(chosen, means, strict=True) if score is not None)
    assert distance == pytest.approx(min(allowed))
    assert in_order(ranks, [score for score in chosen if score is not None])


def in_order(ranks: list[int], scores: list[float]) -> bool:
    return all((scores[i] - scores[j]) * (ranks[j] - ranks[i]) >= 0 for i, j in combinations(range(len(ranks)), 2))


@pytest.mark.parametrize(
    ("critique", "ending"),
    [
        pytest.param("It is good.\nScore: 4", "It is good.\nScore: 4", id="ends-there"),
        pytest.param("It is good.\nScore: 4\n\nLet me know if I can help!", "It is good.\nScore: 4", id="goes-on"),
        pytest.param("Good. Score: 4. The response is clear, too.", "Good. Score: 4.", id="on-the-same-line"),
        pytest.param("**Score: 3**\nUser: What is next?", "**Score: 3**", id="with-its-marks"),
        pytest.param("Score: 1 + 1 + 1 = 3 points", "Score: 1 + 1 + 1 = 3", id="a-sum"),
        pytest.param("Score: 2\nOn reflection\nScore: 3\nYes.", "Score: 2\nOn reflection\nScore: 3", id="the-last"),
        pytest.param("No score here.", "No score here.", id="none"),
        pytest.param("Score: 4\nScore: 9 in fact", "Score: 4\nScore: 9 in fact", id="its-last-one-does-not-count"),
        pytest.param("Score: 5, because it is right", "Score: 5", id="a-comma"),
    ],
)
def test_a_critique_ends_at_its_last_score(critique: str, ending: str) -> None:
    def read(text: str) -> float | None:
        return stated_score(text, ScoreRange(0, 5))

    assert until_score(critique, read) == ending
    assert read(ending) == read(critique)
