"""Moments that a spec's seconds lead to: no number that somebody writes is one that time cannot be reckoned with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

FAR: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Whatever lies beyond it never comes."""


def later(since: datetime, seconds: float) -> datetime:
    """The moment `seconds` after `since`, or FAR if that is sooner."""
    try:
        return min(since + timedelta(seconds=seconds), FAR)
    except OverflowError:
        return FAR
