"""The error that ends a command, and the exit codes of commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

FAILED: Final = 1
"""The run has failed, or what was asked could not be done."""
HELD: Final = 2
"""The run goes on only when somebody acts, or a time has come: paused, suspended, waiting or stalled. No success."""
USAGE: Final = 64
"""The user must change something (EX_USAGE)."""
TIMED_OUT: Final = 124
"""The time given to `wait` is over, as timeout(1) says it."""
INTERRUPTED: Final = 130
"""Ctrl-C, as a shell says it."""


class CommandError(Exception):
    """An error that the user reads as whole lines, with an exit code; never a traceback."""

    def __init__(self, lines: Sequence[str], exit_code: int = USAGE) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)
        self.exit_code = exit_code
