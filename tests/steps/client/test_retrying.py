"""How long to wait, and what is worth another try."""

from datetime import UTC, datetime

import pytest
from selfreward_steps.client.retrying import RetryPolicy, is_retried, retry_after_seconds

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7),
        ("0.5", 0.5),
        ("-3", 0),
        ("nan", 0),
        ("soon", None),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds


def test_pauses_double_up_to_the_longest_and_are_never_shorter_than_asked() -> None:
    policy = RetryPolicy(first_pause=1, longest_pause=8, longest_retry_after=60)
    for attempt, top in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (5000, 8)]:
        pauses = {policy.pause(attempt, None) for _ in range(50)}
        assert all(top / 2 <= pause <= top for pause in pauses)
        assert len(pauses) > 40, "without jitter all clients come back together"
    assert policy.pause(1, 20) == 20
    assert policy.pause(1, 1e9) == 60
    assert policy.pause(1, float("inf")) == 60


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529])
def test_worth_another_try(status: int) -> None:
    assert is_retried(status)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
def test_not_worth_another_try(status: int) -> None:
    assert not is_retried(status)
