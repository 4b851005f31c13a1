"""Leftover processes of an earlier runner: found by the mark in their environment, and killed.

Supervisors end by themselves when their runner dies; this is for the moments in between, and for one that was
killed itself. Nothing else may be touched: the mark holds the folder of one run.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Final

import psutil

from selfreward.cluster.local.process import MARK

_PATIENCE: Final = 15.0
"""Seconds a killed process may take to go (a large one frees its memory first)."""


def kill_leftovers(mark: str) -> int:
    """Kill every process that carries `mark`, and what it started; returns how many there were.

    Raises TimeoutError when one does not go: a second live child must never be.
    """
    count = 0
    deadline = time.monotonic() + _PATIENCE
    while found := _marked(mark):
        count += sum(_killed(process) for process in found)
        if time.monotonic() > deadline:
            pids = ", ".join(str(process.pid) for process in found)
            raise TimeoutError(f"processes {pids} of an earlier runner of {mark} do not end")
        psutil.wait_procs(found, timeout=0.5)
    return count


def _marked(mark: str) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                # Some programs overwrite the memory their environment is read from: follow the family too.
                for member in (process, *process.children(recursive=True)):
                    found[member.pid] = member
    return [process for process in found.values() if _lives(process)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _killed(process: psutil.Process) -> bool:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True
