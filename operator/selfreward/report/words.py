"""Short forms of times and numbers, the same on a terminal and on a page."""

from __future__ import annotations

from datetime import timedelta


def duration(time: timedelta) -> str:
    """A duration in two units at most: `12s`, `3m05s`, `2h07m`."""
    seconds = round(time.total_seconds())
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60:02}m"


def number(value: float) -> str:
    """A number with four significant digits; whole numbers stay whole."""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 10_000 else f"{value:.4g}"
