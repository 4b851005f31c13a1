"""Commands on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class SetupError(Exception):
    """What is wrong, in one line."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command line, with variables beside the machine's own."""

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def adding(self, *words: str, **environment: str) -> Command:
        return Command((*self.words, *words), {**self.environment, **environment})


class Shell(Protocol):
    """Runs commands."""

    def run(self, command: Command) -> None:
        """Lets the command speak; raises SetupError when it fails."""

    def problem(self, command: Command) -> str | None:
        """The last line of what the command says when it fails, such as "ImportError: …"; None when all is well."""


class LocalShell:
    """Runs them as processes."""

    def run(self, command: Command) -> None:
        code = subprocess.run(command.words, env=_environment(command)).returncode
        if code != 0:
            raise SetupError(f"it ended with {code}: {' '.join(command.words)}")

    def problem(self, command: Command) -> str | None:
        done = subprocess.run(command.words, env=_environment(command), capture_output=True, text=True)
        if done.returncode == 0:
            return None
        if done.returncode < 0:
            return f"killed by {signal.Signals(-done.returncode).name}"
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {done.returncode}"


def _environment(command: Command) -> dict[str, str]:
    return {**os.environ, **command.environment}
