"""Which checkpoint is chosen, by hand-made results."""

from __future__ import annotations

import pytest
from selfreward_steps.contract import Sampling
from selfreward_steps.evaluation.tournament import chosen, matches, result_of, standings

PROMPTS = {"p": "Name a river.", "q": "Name a lake."}


@pytest.mark.parametrize(
    ("results", "wins", "place"),
    [
        pytest.param({(0, 1): 1, (0, 2): 1, (1, 2): -1}, [2, 0, 1], 0, id="the first beats both"),
        pytest.param({(0, 1): -1, (0, 2): 0, (1, 2): 1}, [0, 2, 0], 1, id="the middle one"),
        pytest.param({(0, 1): 0, (0, 2): 0, (1, 2): 0}, [0, 0, 0], 2, id="all tied: the end of the training"),
        pytest.param({(0, 1): 1, (0, 2): -1, (1, 2): 1}, [1, 1, 1], 2, id="a circle: the end of the training"),
    ],
)
def test_most_wins_over_losses(results: dict[tuple[int, int], int], wins: list[int], place: int) -> None:
    found = matches({"p": "Name a river."}, [{"p": text} for text in "abc"])
    table = standings(3, [(match, results[match.earlier, match.later]) for match in found])
    assert [each.wins for each in table] == wins
    assert sum(each.wins for each in table) == sum(each.losses for each in table)
    assert chosen(table) == place


def test_only_what_both_have_answered_is_compared_and_equal_texts_are_not_asked() -> None:
    found = matches(PROMPTS, [{"p": "Ebro", "q": "Como"}, {"p": "Ebro"}, {"q": "Garda"}])
    assert [(match.id, match.earlier, match.later, match.is_asked) for match in found] == [
        ("p", 0, 1, False),
        ("q", 0, 2, True),
    ]


def test_each_comparison_is_asked_in_both_orders() -> None:
    (match,) = matches({"p": "Name a river."}, [{"p": "Ebro"}, {"p": "Po"}])
    forward, backward = match.requests(6, Sampling(), 1)
    assert (forward.key, backward.key, forward.seed != backward.seed) == (6, 7, True)
    assert forward.message.index("Ebro") < forward.message.index("Po")
    assert backward.message.index("Po") < backward.message.index("Ebro")


@pytest.mark.parametrize(
    ("replies", "result"),
    [
        pytest.param(("Verdict: A", "Verdict: B"), 1, id="the earlier one twice"),
        pytest.param(("Verdict: B", "Verdict: A"), -1, id="the later one twice"),
        pytest.param(("Verdict: A", "Verdict: A"), 0, id="its place"),
        pytest.param(("Verdict: A", None), 0, id="refused"),
    ],
)
def test_the_two_orders_must_agree(replies: tuple[str | None, str | None], result: int) -> None:
    assert result_of(replies) == result
