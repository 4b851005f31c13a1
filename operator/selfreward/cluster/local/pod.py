"""One container of one pod, as a process: its files, its output, its result."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from selfreward_steps.contract import TERMINATION_LOG_VARIABLE, StepResult

from selfreward.cluster.local.failures import failure_of
from selfreward.cluster.local.output import LogTail
from selfreward.cluster.local.process import Exit, Process, Program
from selfreward.cluster.local.warming import Warm
from selfreward.cluster.spoken import result_in
from selfreward.plan import Failure


class Pod:
    """One program that has not started, runs or has ended, with what is known of it."""

    def __init__(self, program: Program, folder: Path, mark: str, warm: Warm | None = None) -> None:
        self.program = program
        self.output = LogTail(folder / f"{program.name}.log")
        self.started_at: datetime | None = None
        self.exit: Exit | None = None
        self.result: StepResult | None = None
        self._folder = folder
        self._mark = mark
        self._warm = warm
        self._process: Process | None = None

    @property
    def log(self) -> Path:
        return self.output.path

    @property
    def is_running(self) -> bool:
        return self._process is not None and self.exit is None

    @property
    def has_ended(self) -> bool:
        return self.exit is not None

    @property
    def failure(self) -> Failure | None:
        """Why it failed; None while it runs and when it ended with 0."""
        if self.exit is None or self.exit.code == 0:
            return None
        words = self.output.last_error or self.output.last_line
        return failure_of(self.exit, self.result, words, self.output.fallen)

    def start(self, now: datetime) -> None:
        """Start the process."""
        result = self._result_file
        result.unlink(missing_ok=True)
        environment = {TERMINATION_LOG_VARIABLE: str(result), **self.program.environment}
        program = replace(self.program, environment=environment)
        warmed = None if self._warm is None else self._warm.take(program, self.log)
        self._process = warmed or Process(program, folder=self._folder, mark=self._mark)
        self.started_at = now

    def refresh(self, now: datetime) -> None:
        """Read its output and whether it has ended."""
        if self._process is None or self.exit is not None:
            return
        # First the end, then the output: the last lines are then sure to be read.
        ended = self._process.poll()
        self.output.read(now)
        if ended is not None:
            self.exit = ended
            self.result = self._read_result()

    def stop(self, grace: float) -> None:
        """Ask it to end, and kill it `grace` seconds later; one that never started never will."""
        if self._process is None:
            self.exit = self.exit or Exit(code=None, asked=True)
        elif self.exit is None:
            self._process.stop(grace)

    @property
    def _result_file(self) -> Path:
        return self._folder / f"{self.program.name}.result.json"

    def _read_result(self) -> StepResult | None:
        try:
            return result_in(self._result_file.read_bytes())
        except OSError:
            return None
