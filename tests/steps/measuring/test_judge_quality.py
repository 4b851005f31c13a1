"""The judge's numbers against an independent computation, and at the edges where there is nothing to count."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from selfreward_steps.measuring.judge_quality import RankedScores, judge_quality, sign_test, win_rates


def quality(*prompts: RankedScores) -> dict[str, float | None]:
    return {name: rate.value for name, rate in judge_quality(prompts, max_score=5, seed=0).items()}


PERFECT = RankedScores(ranks=[0, 1, 2], scores=[5, 3, 1], lengths=[10, 20, 30])


@pytest.mark.parametrize(
    ("prompt", "name", "value"),
    [
        pytest.param(PERFECT, "pairwise_accuracy", 1.0, id="agrees"),
        pytest.param(PERFECT, "pairwise_accuracy_longest_wins", 0.0, id="best-is-shortest"),
        pytest.param(PERFECT, "exact_match", 1.0, id="same-order"),
        pytest.param(PERFECT, "spearman", 1.0, id="spearman"),
        pytest.param(PERFECT, "kendall_tau", 1.0, id="kendall"),
        pytest.param(PERFECT, "best_of_top_score", 1.0, id="five-goes-to-the-best"),
        pytest.param(RankedScores([0, 1], [2, 4], [5, 5]), "pairwise_accuracy", 0.0, id="reversed"),
        pytest.param(RankedScores([0, 1], [3, 3], [5, 5]), "pairwise_accuracy", 0.5, id="tie-is-a-coin"),
        pytest.param(RankedScores([0, 1], [3, 3], [5, 9]), "spearman", 0.0, id="no-order-no-correlation"),
        pytest.param(RankedScores([0, 1], [3, 3], [5, 9]), "exact_match", 0.0, id="tie-is-not-the-order"),
        pytest.param(RankedScores([0, 0], [3, 3], [5, 9]), "exact_match", 1.0, id="people-tie-too"),
        pytest.param(RankedScores([0, 0], [3, 1], [5, 9]), "pairwise_accuracy", None, id="people-agree-on-nothing"),
        pytest.param(RankedScores([0, 1], [None, 3], [5, 9]), "pairwise_accuracy", None, id="one-score-missing"),
        pytest.param(RankedScores([0, 1], [5, 5], [5, 9]), "best_of_top_score", 0.5, id="half-of-the-fives"),
        pytest.param(RankedScores([0, 1], [4, 2], [5, 9]), "best_of_top_score", None, id="no-five"),
        pytest.param(RankedScores([0, 1], [None, 5], [5, 9]), "best_of_top_score", None, id="the-best-has-no-score"),
        pytest.param(RankedScores([0, 0, 1], [None, 5, 5], [5, 9, 9]), "best_of_top_score", 0.5, id="one-of-two-best"),
        pytest.param(RankedScores([0, 1], [4, 2], [5, 9]), "pairwise_accuracy_length_balanced", None, id="one-side"),
    ],
)
def test_numbers_of_one_prompt(prompt: RankedScores, name: str, value: float | None) -> None:
    assert quality(prompt)[name] == value


@pytest.mark.parametrize(
    ("scores", "nearest", "value"),
    [
        pytest.param([4.97, 3.2], True, 1.0, id="nearest to five"),
        pytest.param([4.97, 4.6], True, 0.5, id="two of them"),
        pytest.param([4.49, 3.2], True, None, id="nearest to four"),
        pytest.param([4.97, 3.2], False, None, id="a mean of critiques is five or is not"),
        pytest.param([5, 14 / 3], False, 1.0, id="five and two fives of three"),
    ],
)
def test_an_expected_score_is_the_top_one_when_it_is_nearest_to_it(
    scores: list[float], nearest: bool, value: float | None
) -> None:
    found = judge_quality([RankedScores([0, 1], scores, [5, 9])], max_score=5, seed=0, nearest=nearest)
    assert found["best_of_top_score"].value == value


def test_a_judge_of_length_gets_one_half_where_length_is_balanced() -> None:
    longer_wins = [RankedScores([0, 1], [9.0, 5.0], [9, 5])] * 7
    shorter_wins = [RankedScores([0, 1], [2.0, 6.0], [2, 6])]
    numbers = quality(*longer_wins, *shorter_wins)
    assert numbers["pairwise_accuracy"] == numbers["pairwise_accuracy_longest_wins"] == 7 / 8
    assert numbers["pairwise_accuracy_length_balanced"] == 0.5


@pytest.mark.parametrize("prompts", [pytest.param([], id="none"), pytest.param([PERFECT], id="one")])
def test_fewer_than_two_prompts_have_no_interval(prompts: list[RankedScores]) -> None:
    for rate in judge_quality(prompts, max_score=5, seed=0).values():
        assert (rate.low, rate.high) == (None, None)


def test_two_prompts_that_differ_have_the_widest_interval() -> None:
    reversed_order = RankedScores(ranks=[0, 1, 2], scores=[1, 3, 5], lengths=[10, 20, 30])
    found = judge_quality([PERFECT, reversed_order], max_score=5, seed=0)["pairwise_accuracy"]
    assert found.value == 0.5
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.02
    assert found.high > 0.98


def test_intervals_hold_the_value_and_narrow_with_data() -> None:
    mixed = [PERFECT, RankedScores([0, 1], [1, 2], [3, 4])]
    few = judge_quality(mixed * 5, max_score=5, seed=1)["pairwise_accuracy"]
    many = judge_quality(mixed * 200, max_score=5, seed=1)["pairwise_accuracy"]
    assert few.value == many.value == 0.75
    assert few.low is not None
    assert few.high is not None
    assert few.low < 0.75 < few.high
    assert many.high is not None
    assert many.low is not None
    assert many.high - many.low < few.high - few.low
    assert few == judge_quality(mixed * 5, max_score=5, seed=1)["pairwise_accuracy"]


def test_win_rates_add_up() -> None:
    rates = win_rates([1, 1, 0, -1])
    assert {name: rate.value for name, rate in rates.items()} == {"win": 0.5, "tie": 0.25, "loss": 0.25}


@pytest.mark.parametrize(
    ("wins", "ties", "losses", "p_value"),
    [
        pytest.param(2, 0, 0, 0.5, id="two-of-two-are-a-coin's-every-other-time"),
        pytest.param(5, 30, 0, 2 / 2**5, id="ties-do-not-count"),
        pytest.param(0, 0, 6, 2 / 2**6, id="losses"),
        pytest.param(3, 1, 3, 1.0, id="even"),
        pytest.param(8, 2, 2, 2 * (1 + 10 + 45) / 2**10, id="by-the-binomial-formula"),
        pytest.param(0, 9, 0, None, id="nothing-decided"),
        pytest.param(0, 0, 0, None, id="nothing-asked"),
    ],
)
def test_the_sign_test(wins: int, ties: int, losses: int, p_value: float | None) -> None:
    found = sign_test([1] * wins + [0] * ties + [-1] * losses)
    assert found == (None if p_value is None else pytest.approx(p_value))


SCORES = st.sampled_from([None, 0.0, 1.0, 7 / 3, 3.5, 5.0])
ANSWER = st.tuples(st.integers(0, 3), SCORES, st.integers(1, 6))
"""Rank (ties allowed), mean score (or none), length: few values each, so that every tie comes up."""


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(ANSWER, min_size=1, max_size=6), min_size=1, max_size=8))
def test_every_number_agrees_with_an_exact_computation(rows: list[list[tuple[int, float | None, int]]]) -> None:
    """By the definitions alone: fractions and double loops, no numpy, no scipy."""
    numbers = quality(*(RankedScores(*map(list, zip(*row, strict=True))) for row in rows))
    prompts = [[(rank, score, length) for rank, score, length in row if score is not None] for row in rows]
    lengths = [[(rank, float(length), length) for rank, _, length in row] for row in prompts]
    longer = accuracy(prompts, lambda better, worse: better[2] > worse[2])
    shorter = accuracy(prompts, lambda better, worse: better[2] < worse[2])
    expected = {
        "pairwise_accuracy": accuracy(prompts),
        "pairwise_accuracy_longest_wins": accuracy(lengths),
        "pairwise_accuracy_length_balanced": None if None in (longer, shorter) else (longer + shorter) / 2,  # type: ignore[operator]
        "best_of_top_score": share(
            rank == min(each[0] for each in row)
            for row in rows
            if any(score is not None and rank == min(each[0] for each in row) for rank, score, _ in row)
            for rank, score, _ in row
            if score == 5
        ),
        "exact_match": share(same_order(row) for row in prompts if len(row) > 1),
        "spearman": mean(correlation(row, spearman) for row in prompts if distinct(row, 0) > 1),
        "kendall_tau": mean(correlation(row, tau_b) for row in prompts if distinct(row, 0) > 1),
    }
    assert numbers.keys() == expected.keys()
    for name, value in expected.items():
        assert numbers[name] == (None if value is None else pytest.approx(float(value), abs=1e-9)), name


@given(st.lists(st.sampled_from([1, 0, -1]), max_size=40))
def test_win_rates_agree_with_counting(outcomes: list[int]) -> None:
    found = {name: rate.value for name, rate in win_rates(outcomes).items()}
    for name, sign in (("win", 1), ("tie", 0), ("loss", -1)):
        expected = Fraction(outcomes.count(sign), len(outcomes)) if outcomes else None
        assert found[name] == (None if expected is None else pytest.approx(float(expected), abs=1e-9))


Prompt = list[tuple[int, float, int]]


def accuracy(prompts: list[Prompt], counts: Callable[[Any, Any], bool] = lambda better, worse: True) -> Fraction | None:
    """Of the pairs that people rank, those with the better answer scored higher; a tie is one half."""
    points = [
        Fraction(1, 2) if better[1] == worse[1] else Fraction(better[1] > worse[1])
        for row in prompts
        for better, worse in permutations(row, 2)
        if better[0] < worse[0] and counts(better, worse)
    ]
    return Fraction(sum(points), len(points)) if points else None


def share(facts: Iterable[bool]) -> Fraction | None:
    known = list(facts)
    return Fraction(sum(known), len(known)) if known else None


def mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return sum(known) / len(known) if known else None


def same_order(row: Prompt) -> bool:
    """No two answers stand otherwise for the judge than for people."""
    return all(
        (one[0] < other[0]) == (one[1] > other[1]) and (one[0] == other[0]) == (one[1] == other[1])
        for one, other in permutations(row, 2)
    )


def distinct(row: Prompt, place: int) -> int:
    return len({each[place] for each in row})


def correlation(row: Prompt, statistic: Callable[[list[float], list[float]], float]) -> float:
    """Of what people and the judge think of the answers; 0 when the judge says one thing of all."""
    return (
        statistic([-float(rank) for rank, _, _ in row], [score for _, score, _ in row]) if distinct(row, 1) > 1 else 0.0
    )


def average_ranks(values: list[float]) -> list[float]:
    return [sum(w < v for w in values) + (sum(w == v for w in values) - 1) / 2 for v in values]


def spearman(people: list[float], judge: list[float]) -> float:
    x, y = average_ranks(people), average_ranks(judge)
    middle = (len(x) - 1) / 2
    norm = math.sqrt(sum((a - middle) ** 2 for a in x) * sum((b - middle) ** 2 for b in y))
    return sum((a - middle) * (b - middle) for a, b in zip(x, y, strict=True)) / norm


def tau_b(people: list[float], judge: list[float]) -> float:
    signs = [
        ((people[i] > people[j]) - (people[i] < people[j]), (judge[i] > judge[j]) - (judge[i] < judge[j]))
        for i, j in permutations(range(len(people)), 2)
    ]
    norm = math.sqrt(sum(a * a for a, _ in signs) * sum(b * b for _, b in signs))
    return sum(a * b for a, b in signs) / norm
