"""The processes of a run, by what they are for: found through the family of the process that asks, never by name."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import psutil
from selfreward_steps.contract import CONFIG_VARIABLE, MODEL_NAME_VARIABLE

SERVER = "server"
"""The role of an engine and its API server; all others are named as their steps."""


@dataclass(frozen=True, slots=True)
class Member:
    """A process of the run."""

    process: psutil.Process
    role: str
    rank: int | None
    """torchrun's number; None for what is no rank of a training."""


def family(root: int) -> list[Member]:
    """The descendants of `root` that belong to a step or a server, parents before their children."""
    return list(_below(root, _children(), ""))


def _children() -> dict[int, list[psutil.Process]]:
    found: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found.setdefault(process.ppid(), []).append(process)
    return found


def _below(root: int, children: dict[int, list[psutil.Process]], inherited: str) -> Iterator[Member]:
    for process in children.get(root, []):
        environment: dict[str, str] = {}
        with suppress(psutil.Error):
            environment = process.environ()
        # An engine writes its title over the memory that its environment is read from: it is what its parent is.
        role = _role(environment) or inherited
        if role:
            rank = environment.get("RANK", "") if "LOCAL_RANK" in environment else ""
            yield Member(process, role, int(rank) if rank.isdecimal() else None)
        yield from _below(process.pid, children, role)


def _role(environment: dict[str, str]) -> str:
    if MODEL_NAME_VARIABLE in environment:
        return SERVER
    with suppress(ValueError):
        return str(json.loads(environment.get(CONFIG_VARIABLE, "{}")).get("step", ""))
    return ""


@dataclass(frozen=True, slots=True)
class Holding:
    """What one process holds of one GPU."""

    pid: int
    gpu: str
    mib: float


def holdings() -> list[Holding]:
    """What the driver says of who computes on which GPU; empty where there is no driver.

    In a container it may name processes by their numbers outside of it, or none.
    """
    rows = _asked("--query-compute-apps=pid,gpu_uuid,used_memory")
    return [Holding(int(row[0]), row[1], _number(row[2])) for row in rows if len(row) == 3 and row[0].isdecimal()]


def memory_used() -> dict[str, float]:
    """MiB in use of each GPU, by its index; empty where there is no driver."""
    return {row[0]: _number(row[1]) for row in _asked("--query-gpu=index,memory.used") if len(row) == 2}


def _asked(what: str) -> list[list[str]]:
    command = ["nvidia-smi", what, "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.split(", ") for line in told.splitlines() if line.strip()]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
