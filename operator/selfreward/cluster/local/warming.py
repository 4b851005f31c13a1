"""Processes that have imported what the next steps need before their turn comes.

To import torch and TRL takes a training 8 s, and vLLM a server 12 s (one H200's machine); meanwhile other steps run. A
process that does not fit what is asked for in the end, or has died, is left, and the program is started as ever.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from selfreward_steps.contract import StepName

from selfreward.cluster.local.process import MARK, Process, Program

_SCRIPT: Final = Path(__file__).parent.parent / "warm.py"
TRAINING: Final = "training"
VLLM: Final = "vllm"
_STEPS: Final = "selfreward_steps"
_SERVER: Final = "vllm.entrypoints.openai.api_server"
_IMPORTED: Final[Mapping[str, Sequence[str]]] = {
    TRAINING: (f"{_STEPS}.sft", f"{_STEPS}.dpo"),
    VLLM: (_SERVER, f"{_STEPS}.engine.known"),
}
"""What to import for each kind of program. Other steps import nothing that takes long."""
_TRAININGS: Final = frozenset({StepName.SFT_BASELINE, StepName.SFT, StepName.DPO})
_READ_LATE: Final = ("SELFREWARD_", "PET_", "MASTER_", "RANK", "WORLD_SIZE")
"""Variables that a program reads when it does its work, not when it is imported, begin with one of these."""


class WarmProcess(Process):
    """A process that waits for its order."""

    def __init__(self, program: Program, modules: Sequence[str], folder: Path, mark: str) -> None:
        """Start it, with the program's environment, to import `modules`."""
        folder.mkdir(parents=True)
        self._order = folder / "order.json"
        self._mark = mark
        self._environment = _early(program.environment)
        command = [sys.executable, "-P", str(_SCRIPT), str(self._order), *modules]
        super().__init__(Program("warm", command, program.environment), folder=folder, mark=mark)

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether it lives, and was started with what this environment says to whoever is imported."""
        return self.poll() is None and self._environment == _early(environment)

    def become(self, program: Program, log: Path) -> None:
        """Run this program from now on, with its output in `log`."""
        environment = {**program.environment, MARK: self._mark}
        order = {"argv": list(program.argv), "env": environment, "cwd": str(Path.cwd()), "log": str(log)}
        log.touch()
        self.log = log
        unread = self._order.with_suffix(".part")
        # Its environment holds keys.
        with open(unread, "w", encoding="utf-8", opener=_private) as file:
            json.dump(order, file)
        unread.replace(self._order)


class Warm:
    """The waiting processes of one run, at most one for each kind of program."""

    def __init__(self, folder: Path, mark: str) -> None:
        """`folder` is emptied: what an earlier runner left in it is of no use."""
        shutil.rmtree(folder, ignore_errors=True)
        self._folder = folder
        self._mark = mark
        self._made = 0
        self._waiting: dict[str, WarmProcess] = {}
        self._useless: set[str] = set()
        self._stopped: list[WarmProcess] = []

    def has(self, kind: str) -> bool:
        """Whether a process of that kind waits."""
        return kind in self._waiting

    def lacks(self, kind: str) -> bool:
        """Whether none of that kind waits, and the run's own program may be of it."""
        return not self.has(kind) and kind not in self._useless

    def prepare(self, kind: str, program: Program) -> None:
        """Start one for the run's program, if it lacks one; where that is of no such kind, it is not asked for again:
        what a run starts by does not change while it is walked."""
        if _kind(program) != kind:
            self._useless.add(kind)
        elif self.lacks(kind):
            self._made += 1
            folder = self._folder / str(self._made)
            self._waiting[kind] = WarmProcess(program, _IMPORTED[kind], folder, self._mark)

    def take(self, program: Program, log: Path) -> Process | None:
        """The waiting process, which has become this program; None where none fits."""
        found = self._waiting.pop(_kind(program) or "", None)
        if found is None:
            return None
        if not found.fits(program.environment):
            self._stop(found)
            return None
        found.become(program, log)
        return found

    def stop(self) -> None:
        """End those that still wait, which have done nothing that must be ended well, and see them go."""
        while self._waiting:
            self._stop(self._waiting.popitem()[1])
        while any(process.poll() is None for process in self._stopped):
            time.sleep(0.01)
        self._stopped.clear()

    def _stop(self, process: WarmProcess) -> None:
        process.stop(0)
        self._stopped.append(process)


def _kind(program: Program) -> str | None:
    """Which of the programs this is that take long to import; None for any other."""
    match program.argv:
        case [sys.executable, "-m", module, step] if module == _STEPS and step in _TRAININGS:
            return TRAINING
        case [sys.executable, "-m", module, *_] if module == _SERVER:
            return VLLM
    return None


def _early(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environment.items() if not name.startswith(_READ_LATE)}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
