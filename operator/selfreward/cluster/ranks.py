"""The rank of a training that a signal ended: only its launcher knows of it, and torchrun tells it last of all.

The other ranks are told to stop then, and rank 0 reports no more than that.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from selfreward_steps.contract import FailureClass

from selfreward.plan import Failure

STOPPED: Final = "Stopped"
"""Reason of a failure, a step's own too, that is no more than having been told to stop."""
STOPPING: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""Signals that somebody outside sends to have a process end."""
_RANK: Final = re.compile(r"rank\s*: (\d{1,9}) \(local_rank: \d+\)")
_FALLEN: Final = re.compile(r"traceback : Signal (\d{1,9}) \(\w+\) received by PID \d+")
"""Lines of torchrun's last words, which name the process that ended first after all others."""


@dataclass(frozen=True, slots=True)
class FallenRank:
    """A process of a training that a signal ended, as its launcher tells it."""

    rank: int
    signal: int

    @property
    def failure(self) -> Failure | None:
        """What that counts as; None where the signal has no name."""
        try:
            number = signal.Signals(self.signal)
        except ValueError:
            return None
        return signal_failure(number, f"process {self.rank} of the training ")


class RankReader:
    """A reader of a log's lines for the process that torchrun found ended by a signal, and named as the root cause."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self.fallen: FallenRank | None = None
        self._rank = 0
        for line in lines:
            self.take(line)

    def take(self, line: str) -> None:
        """Take in one line, without white space around it."""
        if (rank := _RANK.fullmatch(line)) is not None:
            self._rank, self.fallen = int(rank[1]), None
        elif (fallen := _FALLEN.fullmatch(line)) is not None:
            self.fallen = FallenRank(self._rank, int(fallen[1]))


def signal_failure(number: signal.Signals, who: str = "", words: str = "") -> Failure:
    """The failure of a process that a signal ended."""
    if number in STOPPING:
        return Failure(FailureClass.INFRASTRUCTURE, STOPPED, f"{who}was stopped by {number.name} from outside")
    if number is signal.SIGKILL:
        message = f"{who}was killed (SIGKILL), most likely because memory ran out{words}"
        return Failure(FailureClass.APPLICATION, "Killed", message)
    return Failure(FailureClass.APPLICATION, "Crashed", f"{who}crashed with {number.name}{words}")
