"""The command line: refuses what cannot be, finds out what the machine is, and sets up .venv or lists what it would."""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import machine
from choice import Device
from environment import ROOT, Environment
from shell import LocalShell, SetupError


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="setup", description="Set up .venv for this machine.")
    parser.add_argument("--device", choices=["auto", *Device], default="auto", help="set up for this, not what is here")
    parser.add_argument("--dry-run", action="store_true", help="list what would be installed, and change nothing")
    options = parser.parse_args(arguments)
    shell = LocalShell()
    try:
        refuse()
        device, reason = device_of(options.device)
        if options.dry_run:
            with tempfile.TemporaryDirectory() as scratch:
                Environment(Path(scratch), shell).show(device, reason)
            return 0
        if device is Device.GPU and (lacking := ", ".join(machine.lacking_to_compile())):
            raise SetupError(f"vLLM compiles for the GPU when it starts, and there is no {lacking}")
        Environment(ROOT / ".venv", shell).set_up(device, reason)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    return 0


def refuse() -> None:
    """Raises SetupError on a machine that no wheel is for, or that cannot make an environment."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise SetupError(f"{sys.platform} on {platform.machine()}: the locks are for Linux on x86_64")
    try:
        import ensurepip  # noqa: F401  Debian has it in a package of its own
    except ImportError:
        raise SetupError("Python's venv is not installed: apt install python3-venv") from None


def device_of(asked: str) -> tuple[Device, str]:
    """What to set up for, and why."""
    if asked != "auto":
        return Device(asked), f"DEVICE={asked}"
    names = machine.gpus()
    if not names:
        return Device.CPU, "no NVIDIA GPU here"
    return Device.GPU, names[0] if len(names) == 1 else f"{len(names)} GPUs, {names[0]} first"
