"""The calendar's expressions: every one that the rules let through has a next time, and is croniter's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from croniter import croniter
from hypothesis import example, given, settings
from hypothesis import strategies as st
from selfreward.api.load import RunInvalid, checked

MOMENT = datetime(2026, 1, 1, 12, tzinfo=UTC)
REFUSED = [
    ({"cron": "61 * * * *"}, "must be five cron fields"),
    ({"cron": "* 24 * * *"}, "must be five cron fields"),
    ({"cron": "* * 0 * *"}, "must be five cron fields"),
    ({"cron": "* * * 13 *"}, "must be five cron fields"),
    ({"cron": "* * * * 8"}, "must be five cron fields"),
    ({"cron": "* * * foo *"}, "must be five cron fields"),
    ({"cron": "*/0 * * * *"}, "must be five cron fields"),
    ({"cron": "R * * * *"}, "must be five cron fields"),
    ({"cron": "nightly"}, "must be five cron fields"),
    ({"cron": "* * * * * *"}, "must be five cron fields"),
    ({"cron": "0 0 30 2 *"}, "never comes"),
    ({"cron": "0 0 30,31 feb *"}, "never comes"),
    ({"cron": "0 0 31 4,6,SEP *"}, "never comes"),
    ({"cron": "@daily", "timeZone": "Mars/Olympus"}, "there is no such time zone"),
    ({"cron": "@daily", "timeZone": "Europe"}, "there is no such time zone"),
    ({"cron": "@daily", "timeZone": "Local"}, "there is no such time zone"),
    ({"cron": "@daily", "timeZone": "+02:00"}, "must be the name of a time zone"),
    ({"cron": "@daily", "timeZone": "/etc/localtime"}, "must be the name of a time zone"),
    ({"cron": "@daily", "timeZone": ""}, "must be the name of a time zone"),
]


def problems(schedule: dict[str, str]) -> str:
    source = {"uri": "s3://bucket/prompts.jsonl"}
    spec = {"model": {"uri": "hf://a/b"}, "prompts": {"source": source}, "schedule": schedule}
    try:
        checked({"metadata": {"name": "demo"}, "spec": spec})
    except RunInvalid as error:
        return "\n".join(error.problems)
    return ""


@pytest.mark.parametrize(("schedule", "words"), REFUSED)
def test_a_time_that_never_comes_is_refused(schedule: dict[str, str], words: str) -> None:
    assert words in problems(schedule)
    assert problems(schedule).startswith("spec.schedule.")


def element(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    value = st.integers(low, high).map(str) | (st.sampled_from(names) if names else st.nothing())
    range_ = st.tuples(value, value).map("-".join)
    step = st.just("") | st.integers(1, 99).map(lambda number: f"/{number}")
    return st.tuples(st.just("*") | value | range_, step).map("".join)


def field(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    return st.lists(element(low, high, names), min_size=1, max_size=3).map(",".join)


CRON = st.tuples(
    field(0, 59), field(0, 23), field(27, 31) | field(1, 31), field(1, 12, ("feb", "JUN")), field(0, 7, ("Mon", "SUN"))
)


@settings(max_examples=300, deadline=None)
@given(CRON)
@example(("0", "0", "29", "2", "*"))
@example(("0", "0", "31", "2-4/2", "*"))
@example(("0", "0", "30-31/2", "2/11", "*"))
@example(("0", "0", "31", "2", "*/1"))
@example(("0", "0", "30-27/28", "2", "*"))
@example(("*", "*", "30", "2", "*,*"))
@example(("*", "*", "30", "2", "1,0-6"))
@example(("0", "0", "31-28/30", "4", "*"))
def test_what_is_let_through_comes(fields: tuple[str, ...]) -> None:
    cron = " ".join(fields)
    found = problems({"cron": cron})
    assert found == "" or "never comes" in found
    if not found:
        assert croniter(cron, MOMENT).get_next(datetime) > MOMENT
