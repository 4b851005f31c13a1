"""How a command ends when the user must hear of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

USAGE: Final = 64
"""The user must change something (EX_USAGE)."""
FAILED: Final = 1
INTERRUPTED: Final = 130
"""Ctrl-C, as a shell says it."""


class CommandError(Exception):
    """Whole lines for the user and an exit code; never a traceback."""

    def __init__(self, lines: Sequence[str], exit_code: int = USAGE) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)
        self.exit_code = exit_code
