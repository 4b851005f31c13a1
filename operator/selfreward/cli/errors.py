"""The error that ends a command, and the exit codes of commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

USAGE: Final = 64
"""The user must change something (EX_USAGE)."""
FAILED: Final = 1
INTERRUPTED: Final = 130
"""Ctrl-C, as a shell says it."""


class CommandError(Exception):
    """An error that the user reads as whole lines, with an exit code; never a traceback."""

    def __init__(self, lines: Sequence[str], exit_code: int = USAGE) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)
        self.exit_code = exit_code
