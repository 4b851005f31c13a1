"""The standing of a run: whether it goes on, is held, or has ended; and the exit code that says so. Pure.

What the user has asked for and nobody has answered yet (a changed spec, another try, an approval) counts as going on:
`selfreward retry NAME && selfreward wait NAME` must not see the old failure.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from selfreward.api import APPROVED, PAUSED, RETRY, ConditionType, Phase, SelfRewardRun
from selfreward.cli.errors import FAILED, HELD


class Standing(StrEnum):
    """Where a run stands, in one word."""

    GOING_ON = "going on"
    STALLED = "stalled"
    """Something outside is wrong; it goes on by itself once that is mended."""
    WAITING = "waiting"
    """For its time, or for approval."""
    HELD = "held"
    """Suspended, or paused by a gate or by the user."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"


EXIT_CODES: Final = {
    Standing.GOING_ON: 0,
    Standing.SUCCEEDED: 0,
    Standing.FAILED: FAILED,
    Standing.STALLED: HELD,
    Standing.WAITING: HELD,
    Standing.HELD: HELD,
}


def standing(run: SelfRewardRun) -> Standing:
    """Where `run` stands."""
    status, annotations = run.status, run.metadata.annotations
    if annotations.get(PAUSED) == "true" and status.finished_at is None:
        return Standing.HELD
    if 0 <= status.observed_generation < run.metadata.generation:
        return Standing.GOING_ON
    if run.status.true_condition(ConditionType.FAILED) is not None:
        return Standing.GOING_ON if RETRY in annotations else Standing.FAILED
    if status.finished_at is not None:
        return Standing.SUCCEEDED
    if status.phase is Phase.SUSPENDED or run.status.true_condition(ConditionType.SUSPENDED) is not None:
        return Standing.HELD
    if status.phase is Phase.WAITING:
        return Standing.GOING_ON if _is_approved(run) else Standing.WAITING
    return Standing.GOING_ON if run.status.true_condition(ConditionType.STALLED) is None else Standing.STALLED


def reason(run: SelfRewardRun) -> str:
    """Why it stands there, in the words of its conditions; empty where there is nothing to say."""
    kinds = (ConditionType.FAILED, ConditionType.SUSPENDED, ConditionType.STALLED, ConditionType.SUCCEEDED)
    found = next((told for kind in kinds if (told := run.status.true_condition(kind)) is not None), None)
    if found is None:
        found = next((each for each in run.status.conditions if each.type is ConditionType.READY), None)
    return found.message or found.reason if found is not None else ""


def _is_approved(run: SelfRewardRun) -> bool:
    approved = run.metadata.annotations.get(APPROVED, "")
    schedule = run.spec.schedule
    return schedule is not None and schedule.approval and approved.isdigit() and int(approved) > run.status.iteration
