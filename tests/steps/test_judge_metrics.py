"""The judge's numbers against an independent computation, and at the edges where there is nothing to count."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from selfreward_steps.judge_metrics import RankedScores, judge_quality, win_rates


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
        pytest.param(RankedScores([0, 1], [4, 2], [5, 9]), "pairwise_accuracy_length_balanced", None, id="one-side"),
    ],
)
def test_numbers_of_one_prompt(prompt: RankedScores, name: str, value: float | None) -> None:
    assert quality(prompt)[name] == value


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
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)


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
    rates = win_rates([1, 1, 0, -1], seed=0)
    assert {name: rate.value for name, rate in rates.items()} == {"win": 0.5, "tie": 0.25, "loss": 0.25}


answers = st.integers(2, 6).flatmap(
    lambda n: st.tuples(
        st.permutations(range(n)),
        st.lists(st.sampled_from([0.0, 1.0, 7 / 3, 3.5, 5.0]), min_size=n, max_size=n),
        st.lists(st.integers(1, 50), min_size=n, max_size=n),
    )
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(answers, min_size=1, max_size=8))
def test_pairwise_and_correlations_agree_with_their_definitions(
    rows: list[tuple[list[int], list[float], list[int]]],
) -> None:
    numbers = quality(*(RankedScores(*row) for row in rows))
    agreed = pairs = 0.0
    spearmans, taus = [], []
    for ranks, scores, _ in rows:
        for i, j in permutations(range(len(ranks)), 2):
            if ranks[i] < ranks[j]:
                pairs += 1
                agreed += 1 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0
        spearmans.append(spearman(ranks, scores))
        taus.append(tau_b(ranks, scores))
    assert numbers["pairwise_accuracy"] == pytest.approx(agreed / pairs, abs=1e-9)
    assert numbers["spearman"] == pytest.approx(sum(spearmans) / len(rows), abs=1e-9)
    assert numbers["kendall_tau"] == pytest.approx(sum(taus) / len(rows), abs=1e-9)


def average_ranks(values: list[float]) -> list[float]:
    return [sum(w < v for w in values) + (sum(w == v for w in values) - 1) / 2 for v in values]


def spearman(ranks: list[int], scores: list[float]) -> float:
    x, y = average_ranks([-float(rank) for rank in ranks]), average_ranks(scores)
    mean = (len(x) - 1) / 2
    norm = math.sqrt(sum((a - mean) ** 2 for a in x) * sum((b - mean) ** 2 for b in y))
    return sum((a - mean) * (b - mean) for a, b in zip(x, y, strict=True)) / norm if norm else 0.0


def tau_b(ranks: list[int], scores: list[float]) -> float:
    sign = concordance = tied = 0
    for i in range(len(ranks)):
        for j in range(i):
            sign += 1
            tied += scores[i] == scores[j]
            concordance += ((ranks[j] > ranks[i]) - (ranks[j] < ranks[i])) * (
                (scores[i] > scores[j]) - (scores[i] < scores[j])
            )
    norm = math.sqrt(sign * (sign - tied))
    return concordance / norm if norm else 0.0
