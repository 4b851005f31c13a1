"""The choice of strategy `positive-only`: every perfect answer, and none is rejected."""

from dataclasses import replace
from typing import Any

import pytest
from selfreward_steps.contract import PairSettings, PairStrategy
from selfreward_steps.pairing.selection import NoPair, PairRules, ScoredCandidate, perfect
from steps.pairing.scored import candidates, cut, rules

POSITIVE: dict[str, tuple[dict[str, Any], list[ScoredCandidate], list[int] | NoPair]] = {
    "every perfect answer": ({}, candidates(3, 5, 5, 1), [1, 2]),
    "perfect every time": ({}, candidates([5, 5, 4], [5, 5, 5]), [1]),
    "one candidate is enough": ({}, candidates(5), [0]),
    "the best is not perfect": ({}, candidates(4.9, 3), NoPair.IMPERFECT),
    "none has a score": ({}, [], NoPair.UNSCORED),
    "a perfect one that was cut off": ({}, cut(candidates(5, 3), 0), NoPair.IMPERFECT),
    "all were cut off": ({}, cut(candidates(5, 5), 0, 1), NoPair.TRUNCATED),
    "keep": ({"truncated": "keep"}, cut(candidates(5, 3), 0), [0]),
}


@pytest.mark.parametrize(("settings", "scored", "expected"), POSITIVE.values(), ids=POSITIVE.keys())
def test_positive_only_takes_perfect_answers(
    settings: dict[str, Any], scored: list[ScoredCandidate], expected: list[int] | NoPair
) -> None:
    found = perfect(rules(strategy="positive-only", **settings), scored)
    if isinstance(found, NoPair):
        assert found is expected
    else:
        assert [pair.chosen.index for pair in found] == expected
        assert [pair.rejected for pair in found] == [None] * len(found)


def test_perfect_is_the_top_of_the_judges_scale() -> None:
    of_ten = PairRules.of(PairSettings(strategy=PairStrategy.POSITIVE_ONLY), 1, 0, top_score=10)
    assert perfect(of_ten, candidates(5, 9)) is NoPair.IMPERFECT
    assert perfect(of_ten, candidates(5, 10)) != NoPair.IMPERFECT


def test_the_same_perfect_text_is_learnt_once() -> None:
    same = [replace(each, text="same") for each in candidates(5, 5, 5)]
    found = perfect(rules(strategy="positive-only"), same)
    assert not isinstance(found, NoPair)
    assert [pair.chosen.index for pair in found] == [0]
