"""The command `selfreward wait`: until a run has finished, or something that is asked for has come true."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from selfreward.api import ConditionType, Phase, SelfRewardRun, StepState
from selfreward.cli.displays.terminal import echo
from selfreward.cli.displays.words import rows
from selfreward.cli.errors import FAILED, HELD, TIMED_OUT, CommandError
from selfreward.cli.place import Place
from selfreward.cli.showing import named
from selfreward.cli.standing import EXIT_CODES, Standing, reason, standing
from selfreward.cluster.local.record import RunFolder

PERIOD: Final = 2.0
"""Seconds between two looks."""
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TIME: Final = re.compile(r"(\d+)([smhd]?)")
Goal = Callable[[SelfRewardRun], bool]


def wait_for(
    name: str,
    workdir: Path,
    place: Place,
    goal: str,
    timeout: str = "",
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Wait, say how it ended, return the exit code. Raises CommandError."""
    is_met = read_goal(goal)
    until = clock() + _seconds(timeout) if timeout else None
    run, unwalked = named(name, workdir, place), 0
    while True:
        ended = outcome(run, goal, is_met)
        # Twice in a row: a runner that starts has the lock a moment before it says who it is.
        unwalked = 0 if place.is_cluster or RunFolder(workdir, run.metadata.name).is_walked() else unwalked + 1
        if ended is None and unwalked > 1:
            ended = HELD, "nobody walks it: selfreward run FILE lets it go on"
        if ended is not None:
            code, words = ended
            echo(f"{run.metadata.name}: {words}", err=code != 0)
            return code
        if until is not None and clock() >= until:
            echo(f"{run.metadata.name}: not {goal} within {timeout} (it is {run.status.phase.value})", err=True)
            return TIMED_OUT
        sleep(PERIOD)
        run = _again(name, workdir, place, run)


def outcome(run: SelfRewardRun, goal: str, is_met: Goal) -> tuple[int, str] | None:
    """Exit code and words; None while there is something to wait for.

    A stalled run, and one that waits for a time, go on without anybody's help at the run.
    """
    stands = standing(run)
    if is_met(run) and stands is not Standing.FAILED:
        return 0, goal if goal != "finished" else stands.value
    match stands:
        case Standing.GOING_ON | Standing.STALLED:
            return None
        case Standing.WAITING if run.spec.schedule is not None and not run.spec.schedule.approval:
            return None
        case Standing.SUCCEEDED:
            return FAILED, f"has ended, and not {goal}"
        case _:
            words = reason(run)
            return EXIT_CODES[stands], f"{stands.value}: {words}" if words else stands.value


def read_goal(text: str) -> Goal:
    """What `--for` asks for. Raises CommandError."""
    kind, _, value = text.partition("=")
    match kind:
        case "finished" if not value:
            return lambda run: standing(run) is Standing.SUCCEEDED
        case "step" if value:
            return lambda run: any(row.key == value and row.state is StepState.SUCCEEDED for row in rows(run.status))
        case "phase" if value in list(Phase):
            return lambda run: run.status.phase is Phase(value)
        case "condition" if value in list(ConditionType):
            return lambda run: run.status.true_condition(ConditionType(value)) is not None
    known = {"phase": Phase, "condition": ConditionType}.get(kind)
    there = ", ".join(known) if known is not None else "finished, step=KEY, phase=PHASE, condition=TYPE"
    raise CommandError([f"--for {text}: is none of {there}"])


def _seconds(text: str) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        raise CommandError([f"--timeout {text}: use a number with s, m, h or d, such as 30m"])
    return int(found[1]) * _SECONDS[found[2] or "s"]


def _again(name: str, workdir: Path, place: Place, before: SelfRewardRun) -> SelfRewardRun:
    """The run as it is now; as it was where the API server does not answer, which must not end hours of waiting."""
    if not place.is_cluster:
        return named(name, workdir, place)
    from selfreward.cli.cluster.asking import NoSuchRun, Unanswered

    try:
        return named(name, workdir, place)
    except NoSuchRun as error:
        raise CommandError([f"{name}: was deleted while it was waited for"], FAILED) from error
    except Unanswered:
        return before
