"""Numbers that the suite measures and prints at its end."""

from __future__ import annotations

from collections.abc import Callable

Measured = Callable[[str], None]
"""Notes one line under the name of the running test."""
