"""The machine: which GPUs it has, and whether programs can be compiled on it."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path


def gpus(devices: Path = Path("/dev")) -> list[str]:
    """The NVIDIA GPUs, one name each: as nvidia-smi says or, without it, as the driver's device files are named.

    An nvidia-smi that fails counts for nothing: CUDA's own images hold one on machines without a GPU.
    """
    return _named() or sorted(str(each) for each in devices.glob("nvidia[0-9]*"))


def _named() -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    question = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(question, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def lacking_to_compile() -> Iterator[str]:
    """What Triton needs to compile a kernel's launcher, and is not here."""
    if not any(map(shutil.which, ("gcc", "clang"))):
        yield "gcc"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        yield "Python.h (Debian: python3-dev)"
