"""What is claimed to cover 95 % does, at few prompts and at rates near 0 and 1 too."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats
from selfreward_steps.measuring.intervals import Rate, counted_share, mean, mean_of_shares, share


def covers(rate: Rate, truth: float) -> bool:
    assert rate.low is not None
    assert rate.high is not None
    return rate.low - 1e-9 <= truth <= rate.high + 1e-9


@pytest.mark.parametrize("number", [2, 10, 20, 30])
def test_a_share_of_prompts_covers_95_percent_at_every_rate(number: int) -> None:
    """Exactly, by summing over every outcome: no rate is left to chance."""
    found = [counted_share(Counter({(1.0, 1.0): hits, (0.0, 1.0): number - hits})) for hits in range(number + 1)]
    chances = stats.binom.pmf(np.arange(number + 1), number, np.arange(0.005, 1, 0.005)[:, None])
    for truth, row in zip(np.arange(0.005, 1, 0.005), chances, strict=True):
        assert sum(chance for chance, rate in zip(row, found, strict=True) if covers(rate, truth)) >= 0.95, truth


@pytest.mark.parametrize(("hits", "number"), [(0, 5), (2, 2), (7, 20), (29, 30), (128, 256)])
def test_it_is_the_exact_interval_of_scipy(hits: int, number: int) -> None:
    expected = stats.binomtest(hits, number).proportion_ci(method="exact")
    found = share([(1.0, 1.0)] * hits + [(0.0, 1.0)] * (number - hits))
    assert (found.value, found.count) == (hits / number, number)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("alike", [0.0, 0.3, 1.0], ids=["independent", "related", "one-voice"])
@pytest.mark.parametrize("truth", [0.03, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("number", [10, 30])
def test_a_share_of_pairs_covers_it_however_alike_those_of_one_prompt_are(
    number: int, truth: float, alike: float
) -> None:
    """Two, three or four answers to a prompt make one, three or six pairs."""
    draw, tries = np.random.default_rng(0), 600
    hit = 0
    for _ in range(tries):
        pairs = draw.choice([1, 3, 3, 6], size=number)
        # Each pair is either its prompt's own voice or a draw of its own.
        voice, follows = draw.random(number) < truth, alike**0.5
        agreed = [
            float(np.where(draw.random(size) < follows, said, draw.random(size) < truth).sum())
            for said, size in zip(voice, pairs, strict=True)
        ]
        hit += covers(share(zip(agreed, map(float, pairs), strict=True)), truth)
    assert hit / tries >= 0.93


def test_prompts_that_all_agree_say_no_more_than_as_many_coins() -> None:
    """Three pairs a prompt, all of them right: the interval is that of the prompts."""
    assert share([(3.0, 3.0)] * 10).low == pytest.approx(0.025 ** (1 / 10))
    assert share([(0.0, 3.0)] * 10).high == pytest.approx(1 - 0.025 ** (1 / 10))


def test_more_pairs_of_the_same_prompts_never_count_more_than_their_number() -> None:
    """Prompts whose pairs cancel out have less variance than independent pairs: that is not believed."""
    found = share([(1.0, 2.0)] * 40)
    assert (found.low, found.high) == pytest.approx((0.5 - 0.16, 0.5 + 0.16), abs=0.01)  # 40 prompts agree on one half


def test_a_mean_of_shares_is_no_surer_than_the_smaller_of_them() -> None:
    """It is half of each, so half as wide as the wider one at least, or nearly."""
    few = [(1.0, 1.0)] * 9 + [(0.0, 1.0)] + [(0.0, 0.0)] * 990
    many = [(0.0, 0.0)] * 10 + [(1.0, 1.0)] * 891 + [(0.0, 1.0)] * 99
    both, alone = mean_of_shares([few, many]), share(few)
    assert both.value == pytest.approx(0.9)
    assert alone.low is not None
    assert alone.high is not None
    assert both.low is not None
    assert both.high is not None
    assert (both.high - both.low) > 0.4 * (alone.high - alone.low)


def test_the_mean_of_a_correlation_covers_it() -> None:
    """Spearman's of three or four answers: few values, of which the bootstrap over prompts takes the mean."""
    draw, tries = np.random.default_rng(1), 400
    values, chances = np.array([-1.0, -0.5, 0.5, 1.0]), np.array([0.1, 0.2, 0.3, 0.4])
    truth = float(values @ chances)
    hit = sum(covers(mean(draw.choice(values, size=60, p=chances), seed=n), truth) for n in range(tries))
    assert hit / tries >= 0.92


@pytest.mark.parametrize(
    ("rate", "value"),
    [
        pytest.param(share([]), None, id="nothing"),
        pytest.param(share([(0.0, 0.0)] * 3), None, id="prompts-that-add-nothing"),
        pytest.param(share([(1.0, 1.0)]), 1.0, id="one-prompt"),
        pytest.param(mean_of_shares([[(1.0, 1.0)], [(0.0, 0.0)]]), None, id="one-share-of-two"),
        pytest.param(mean([], seed=0), None, id="no-values"),
        pytest.param(mean([3.0, 3.0, 3.0], seed=0), 3.0, id="values-that-are-all-one"),
    ],
)
def test_without_grounds_there_is_no_interval(rate: Rate, value: float | None) -> None:
    assert (rate.value, rate.low, rate.high) == (value, None, None)


def test_the_order_of_prompts_changes_nothing() -> None:
    values = [float(n % 7) for n in range(50)]
    assert mean(values, seed=3) == mean(values[::-1], seed=3)
