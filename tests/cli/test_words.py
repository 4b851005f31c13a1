"""Times, numbers and rates in few words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from selfreward.api import StepStatus
from selfreward.api.status import Progress
from selfreward.cli.displays.pace import Paces
from selfreward.cli.displays.words import progress
from selfreward.report.highlights import highlights
from selfreward.report.words import duration, number
from selfreward_steps.contract import StepName

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.4, "59s"), (60, "1m00s"), (3599, "59m59s"), (7265, "2h01m")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(("value", "text"), [(3, "3"), (0.123456, "0.1235"), (1234567.8, "1,234,568"), (2e-6, "2e-06")])
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("metrics", "line"),
    [
        pytest.param({"pairs": 1234, "mean_margin": 1.23456, "parse_rate": 1}, "1,234 pairs, margin 1.23", id="some"),
        pytest.param({"unheard_of": 1}, "", id="none"),
    ],
)
def test_highlights_leave_out_what_is_not_there(metrics: dict[str, float], line: str) -> None:
    assert highlights(StepName.PAIRS, metrics) == line


def test_shares_are_percentages() -> None:
    assert highlights(StepName.PROMPTS, {"prompts": 8, "acceptance_rate": 0.425, "attempts": 40}) == (
        "8 prompts, 42% of 40 accepted"
    )


def row(done: int, total: int | None = 100, attempt: int = 1) -> StepStatus:
    said = Progress(done=done, total=total, unit="prompts")
    return StepStatus(key="respond-1", step=StepName.RESPOND, attempt=attempt, progress=said)


def test_pace_is_what_was_done_lately() -> None:
    paces = Paces()
    for seconds in range(0, 100, 10):
        # Slow at first, then ten a second.
        now = START + timedelta(seconds=seconds)
        pace = paces.pace(row(seconds // 10 if seconds < 50 else 5 + (seconds - 40) * 10, total=1000), now)
    assert pace.rate is not None
    assert pace.left is not None
    assert 7 < pace.rate <= 10
    assert pace.left.total_seconds() == pytest.approx((1000 - 505) / pace.rate)
    assert progress(row(505, 1000), pace).startswith("505/1,000 prompts  ")


def test_the_time_left_does_not_grow_while_a_step_works() -> None:
    """Between two points it runs down; once it has run out, and after a long silence, nobody knows."""
    paces = Paces()
    for seconds in (0, 20, 40, 60, 80):
        paces.pace(row(seconds // 4, total=40), START + timedelta(seconds=seconds))
    lefts = [paces.pace(row(20, total=40), START + timedelta(seconds=80 + more)) for more in range(0, 100)]
    known = [pace.left.total_seconds() for pace in lefts if pace.left is not None]
    assert known == pytest.approx([80 - more for more in range(0, 61)])
    assert {pace.rate for pace in lefts[:61]} == {0.25}
    assert lefts[61].rate is None


def test_what_takes_longer_than_reckoned_has_no_time_left() -> None:
    paces = Paces()
    paces.pace(row(0, total=20), START)
    paces.pace(row(10, total=20), START + timedelta(seconds=10))
    assert paces.pace(row(10, total=20), START + timedelta(seconds=20)).left is None
    assert paces.pace(row(10, total=20), START + timedelta(seconds=20)).rate == 1


def test_a_new_attempt_has_a_pace_of_its_own() -> None:
    paces = Paces()
    paces.pace(row(0), START)
    assert paces.pace(row(50), START + timedelta(seconds=10)).rate == 5
    assert paces.pace(row(50, attempt=2), START + timedelta(seconds=20)).rate is None


@pytest.mark.parametrize(
    ("said", "text"),
    [
        pytest.param(row(3), "3/100 prompts", id="total known"),
        pytest.param(row(3, None), "3 prompts", id="total unknown"),
        pytest.param(row(0, None), "prompts", id="a word instead of a number"),
    ],
)
def test_progress_without_a_pace(said: StepStatus, text: str) -> None:
    assert progress(said, Paces().pace(said, START)) == text


@pytest.mark.parametrize(
    ("prompts", "p_value", "grounds"),
    [
        pytest.param(2, 0.5, "too few to tell: 2 prompts, 30 are needed", id="two prompts"),
        pytest.param(256, 0.0004, "sign test p < 0.001", id="many"),
        pytest.param(64, 0.21, "sign test p = 0.21", id="chance"),
    ],
)
def test_highlights_of_wins_say_what_they_rest_on(prompts: float, p_value: float, grounds: str) -> None:
    part = {"win": 1.0, "tie": 0.0, "loss": 0.0, "prompts": prompts, "p_value": p_value}
    metrics = {f"head_to_head_previous_{name}": value for name, value in part.items()}
    line = f"against the model before: 100% won, 0% tied, 0% lost ({grounds})"
    assert highlights(StepName.EVALUATE, metrics) == line


def test_highlights_of_lm_eval() -> None:
    scores = {f"lm_eval/task{n}/acc": 0.5 + n / 100 for n in range(6)}
    assert highlights(StepName.EVALUATE, {"answers_mean_chars": 120.0, **scores}) == (
        "120 characters an answer, task0/acc 0.5, task1/acc 0.51, task2/acc 0.52, task3/acc 0.53, 2 more of lm-eval"
    )
