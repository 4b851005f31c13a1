"""How busy the GPUs are, as the driver tells it, twice a second."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any


class Busy:
    """A record of the GPUs' use while a part runs: time, GPU, utilisation in %, memory in MiB."""

    def __init__(self, file: Path, gpus: str) -> None:
        self._file = file
        self._gpus = gpus
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Busy:
        command = [
            "nvidia-smi",
            "--query-gpu=timestamp,index,utilization.gpu,memory.used",
            "--format=csv,noheader,nounits",
            "-lms",
            "500",
            "-i",
            self._gpus,
        ]
        try:
            self._process = subprocess.Popen(command, stdout=self._file.open("ab"), stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            self._file.touch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def shares(self, measured: dict[str, Any]) -> dict[str, float]:
        """Mean utilisation and largest memory over the whole part, and over the windows that it names."""
        found = [(at, busy, used) for at, _, busy, used in rows(self._file)]
        if not found:
            return {}
        told = {"busy": sum(row[1] for row in found) / len(found) / 100, "memory_mib": max(row[2] for row in found)}
        for name, (start, end) in measured.get("windows", {}).items():
            inside = [row[1] for row in found if start <= row[0] <= end]
            if inside:
                told[f"busy {name}"] = sum(inside) / len(inside) / 100
        return told


def rows(file: Path) -> list[tuple[float, str, float, float]]:
    """What was recorded: time, GPU, utilisation in %, memory in MiB."""
    told = [line.split(", ") for line in file.read_text().splitlines()]
    return [
        (_seconds(row[0]), row[1], float(row[2]), float(row[3]))
        for row in told
        if len(row) == 4 and row[2].isdigit() and row[3].isdigit()
    ]


def largest(file: Path, window: tuple[float, float]) -> dict[str, float]:
    """The most memory of each GPU within a window of time, in MiB."""
    most: dict[str, float] = {}
    for at, gpu, _, used in rows(file):
        if window[0] <= at <= window[1]:
            most[gpu] = max(most.get(gpu, 0.0), used)
    return most


def _seconds(text: str) -> float:
    """Seconds since the epoch of nvidia-smi's local time."""
    whole, fraction = text.split(".")
    return time.mktime(time.strptime(whole, "%Y/%m/%d %H:%M:%S")) + float(f"0.{fraction}")
