"""Comparisons folded into a score for each answer: Copeland's, and what becomes of orders that disagree."""

from __future__ import annotations

import pytest
from selfreward_steps.contract import mean_score
from selfreward_steps.judging.judgement import Judgement
from selfreward_steps.judging.pairwise import comparisons, folded

A, TIE, B, NOTHING, REFUSED = "A", "tie", "B", "nothing", "refused"
_SCORES = {A: 1.0, TIE: 0.5, B: 0.0, NOTHING: None}


def said(verdict: str) -> Judgement:
    if verdict == REFUSED:
        return Judgement([], [], refused="too long")
    return Judgement([_SCORES[verdict]], [f"Verdict: {verdict}"], tokens=3)


def test_every_two_are_compared_in_both_orders() -> None:
    assert comparisons(3) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    assert len(comparisons(4)) == 12
    assert comparisons(1) == []


@pytest.mark.parametrize(
    ("forward", "backward", "scores", "flips"),
    [
        pytest.param(A, B, (1, 0), ([], []), id="the first wins in both orders"),
        pytest.param(B, A, (0, 1), ([], []), id="the second does"),
        pytest.param(A, A, (0.5, 0.5), ([1], [0]), id="the first place wins"),
        pytest.param(B, B, (0.5, 0.5), ([1], [0]), id="the second place wins"),
        pytest.param(TIE, TIE, (0.5, 0.5), ([], []), id="a tie"),
        pytest.param(A, TIE, (0.5, 0.5), ([], []), id="a tie in one order"),
        pytest.param(A, NOTHING, (None, None), ([], []), id="no verdict in one order"),
    ],
)
def test_two_orders(forward: str, backward: str, scores: tuple[float], flips: tuple[list[int]]) -> None:
    found = folded(2, [said(forward), said(backward)])
    assert tuple(each.scores[0] for each in found) == scores
    assert tuple(each.flips for each in found) == flips
    assert [each.critiques for each in found] == [[f"Verdict: {forward}"], [f"Verdict: {backward}"]]
    assert [each.tokens for each in found] == [3, 3]


def test_the_score_is_the_share_of_the_others_that_are_beaten() -> None:
    best_first = [said(A if first < second else B) for first, second in comparisons(4)]
    assert [mean_score(each.scores) for each in folded(4, best_first)] == pytest.approx([1, 2 / 3, 1 / 3, 0])


def test_what_the_server_does_not_take_is_no_result() -> None:
    """Of three answers the last is too long: nothing is known of it, and the others have been compared."""
    found = folded(3, [said(REFUSED if 2 in pair else A if pair == (0, 1) else B) for pair in comparisons(3)])
    assert [each.scores for each in found] == [[1, None], [0, None], []]
    assert [each.refused for each in found] == [None, None, "too long"]
