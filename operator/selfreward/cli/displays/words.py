"""Words about steps that every display shows alike: progress and time taken."""

from __future__ import annotations

from datetime import datetime, timedelta

from selfreward.api import RunStatus, StepState, StepStatus
from selfreward.cli.displays.pace import Pace
from selfreward.report.words import duration


def progress(row: StepStatus, pace: Pace) -> str:
    """`12/64 candidates  3.1/s  17s left`; empty while the step has said nothing."""
    if row.progress is None:
        return ""
    done, total, unit = row.progress.done, row.progress.total, row.progress.unit
    if total is None and done == 0:
        return unit
    words = [f"{done:,}/{total:,} {unit}" if total is not None else f"{done:,} {unit}"]
    if pace.rate is not None:
        words.append(f"{pace.rate:.3g}/s")
    if pace.left is not None and total is not None and done < total:
        words.append(f"{duration(pace.left)} left")
    return "  ".join(words)


def took(row: StepStatus, now: datetime) -> timedelta | None:
    """How long the current attempt has taken; None before it started."""
    if row.started_at is None or row.state is StepState.WAITING:
        return None
    return (row.finished_at or now) - row.started_at


def rows(status: RunStatus) -> list[StepStatus]:
    """Every step's row, in the order of the graph."""
    return [row for iteration in status.iterations for row in iteration.steps]
