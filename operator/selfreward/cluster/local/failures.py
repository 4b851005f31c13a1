"""Failures of processes: a table from how a process ended to who must act.

What the step itself reported comes first, unless it was only stopped because another of its processes was killed; an
exit code says less, a signal least:

| how it ended | class | because |
| --- | --- | --- |
| a rank killed by a signal, as torchrun tells, the others stopped | as of that signal | only its launcher knows |
| a result of a failure | its class | the step knows best |
| 64 | Permanent | EX_USAGE: the user must act |
| 69 | Infrastructure | EX_UNAVAILABLE: store or server out of reach |
| SIGTERM, SIGINT, SIGHUP, 143, 130 | Infrastructure | the machine or somebody stopped it |
| SIGKILL, 137 | Application | most likely out of memory, which would happen again for ever if it did not count |
| another signal | Application | it crashed |
| supervisor gone | Infrastructure | somebody killed it |
| an ImportError as last words | Permanent | every attempt would meet it |
| anything else | Application | |
"""

from __future__ import annotations

import signal
from typing import Final

from selfreward_steps.contract import ExitCode, FailureClass, StepResult

from selfreward.cluster.local.output import FallenRank
from selfreward.cluster.local.process import Exit
from selfreward.plan import Failure, of_last_words

STOPPED: Final = "Stopped"
"""Reason of a failure, a step's own too, that is no more than having been told to stop."""
_STOPPED: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def failure_of(exit: Exit, result: StepResult | None, last_words: str, fallen: FallenRank | None = None) -> Failure:
    """The failure of a process that did not end with 0; `fallen` is the one of its ranks that a signal ended first."""
    reported = Failure.reported_by(result)
    number = None if fallen is None else _signal(-fallen.signal)
    if fallen is not None and number is not None and (reported is None or reported.reason == STOPPED):
        return _by_signal(number, f"process {fallen.rank} of the training ")
    if reported is not None:
        return reported
    words = f": {last_words}" if last_words else ""
    if exit.code is None:
        return Failure(FailureClass.INFRASTRUCTURE, "Lost", "its supervisor was killed")
    number = _signal(exit.code)
    if number is None:
        return _by_code(exit.code, last_words or f"ended with exit code {exit.code} and no word")
    if number is signal.SIGKILL:
        words = f"; the log ends with{words or ' nothing'}"
    return _by_signal(number, words=words)


def _by_signal(number: signal.Signals, who: str = "", words: str = "") -> Failure:
    if number in _STOPPED:
        return Failure(FailureClass.INFRASTRUCTURE, STOPPED, f"{who}was stopped by {number.name} from outside")
    if number is signal.SIGKILL:
        message = f"{who}was killed (SIGKILL), most likely because memory ran out{words}"
        return Failure(FailureClass.APPLICATION, "Killed", message)
    return Failure(FailureClass.APPLICATION, "Crashed", f"{who}crashed with {number.name}{words}")


def _by_code(code: int, message: str) -> Failure:
    match code:
        case ExitCode.CONFIGURATION:
            return Failure(FailureClass.PERMANENT, "ConfigurationError", message)
        case ExitCode.UNAVAILABLE:
            return Failure(FailureClass.INFRASTRUCTURE, "Unavailable", message)
        case _:
            return of_last_words(Failure(FailureClass.APPLICATION, "Failed", message), message)


def _signal(code: int) -> signal.Signals | None:
    """The signal in an exit code, as a wait status or as a shell says it (128 + number)."""
    number = -code if code < 0 else code - 128
    try:
        return signal.Signals(number)
    except ValueError:
        return None
