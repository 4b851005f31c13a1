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

from selfreward_steps.contract import ExitCode, FailureClass, StepResult

from selfreward.cluster.local.process import Exit
from selfreward.cluster.ranks import STOPPED, FallenRank, signal_failure
from selfreward.plan import Failure, of_last_words


def failure_of(exit: Exit, result: StepResult | None, last_words: str, fallen: FallenRank | None = None) -> Failure:
    """The failure of a process that did not end with 0; `fallen` is the one of its ranks that a signal ended first."""
    reported = Failure.reported_by(result)
    if fallen is not None and fallen.failure is not None and (reported is None or reported.reason == STOPPED):
        return fallen.failure
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
    return signal_failure(number, words=words)


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
