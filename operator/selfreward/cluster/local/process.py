"""A supervised process: started, asked about, stopped. This module must not know what the process is for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUPERVISOR: Final = Path(__file__).parent.parent / "supervise.py"
MARK: Final = "SELFREWARD_LOCAL_RUN"
"""Environment variable with the run's folder, in every process of it: by it a later runner knows leftovers."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended."""

    code: int | None
    """Its exit code; negative for a signal; None when its supervisor was killed before it could tell."""
    asked: bool
    """Whether it was asked to stop."""


@dataclass(frozen=True, slots=True)
class Program:
    """A command line and its environment."""

    name: str
    """The name of its files: NAME.log, NAME.process.json, NAME.result.json."""
    argv: Sequence[str]
    environment: Mapping[str, str]


class Process:
    """A process under a supervisor of its own (:mod:`selfreward.cluster.supervise`)."""

    def __init__(self, program: Program, *, folder: Path, mark: str) -> None:
        """Start it. `folder` gets NAME.log (appended to) and NAME.process.json."""
        self.log = folder / f"{program.name}.log"
        self._record = folder / f"{program.name}.process.json"
        self._record.unlink(missing_ok=True)
        request = {
            "argv": list(program.argv),
            "env": {**program.environment, MARK: mark},
            "cwd": str(Path.cwd()),
            "log": str(self.log),
            "record": str(self._record),
        }
        self.log.touch()
        self._asked = False
        with self.log.open("ab") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SUPERVISOR)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={MARK: mark},
                # Ctrl-C in the terminal goes to the runner alone; it decides what becomes of the children.
                start_new_session=True,
            )
        self._tell(json.dumps(request))

    @property
    def pid(self) -> int:
        """Process id of the supervisor, not of the program."""
        return self._supervisor.pid

    def poll(self) -> Exit | None:
        """How it ended; None while it, or anything it started, lives."""
        if self._supervisor.poll() is None:
            return None
        self._close()
        return Exit(code=self._recorded_exit(), asked=self._asked)

    def stop(self, grace: float) -> None:
        """SIGTERM, and SIGKILL for all it started after `grace` seconds. May be repeated with a shorter one."""
        self._asked = True
        self._tell(str(grace))

    def _tell(self, line: str) -> None:
        assert self._supervisor.stdin is not None
        # It may have ended by itself, which poll will say.
        with suppress(BrokenPipeError, ValueError):
            self._supervisor.stdin.write(line.encode() + b"\n")
            self._supervisor.stdin.flush()

    def _close(self) -> None:
        assert self._supervisor.stdin is not None
        with suppress(BrokenPipeError):
            self._supervisor.stdin.close()

    def _recorded_exit(self) -> int | None:
        try:
            code = json.loads(self._record.read_text(encoding="utf-8")).get("exit")
        except (OSError, ValueError):
            return None
        return code if isinstance(code, int) else None
