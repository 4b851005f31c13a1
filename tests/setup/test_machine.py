"""GPUs as the driver names them, and a CPU build of torch as pip and uv find it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import command
import machine
import pytest
from choice import sources
from environment import ROOT
from selfreward.cli.machine import gpus
from shell import Command, LocalShell, SetupError

H200 = "echo NVIDIA H200; echo NVIDIA H200"
FAILS = "echo 'NVIDIA-SMI has failed' >&2; exit 9"


@pytest.mark.parametrize(
    ("program", "devices", "found"),
    [
        pytest.param(None, [], [], id="neither"),
        pytest.param(H200, [], ["NVIDIA H200", "NVIDIA H200"], id="nvidia-smi"),
        pytest.param(FAILS, [], [], id="cuda's image on a machine without a GPU"),
        pytest.param(FAILS, ["nvidia0"], ["nvidia0"], id="an nvidia-smi that fails beside a device"),
        pytest.param(None, ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"], ["nvidia0", "nvidia1"], id="devices"),
        pytest.param(None, ["nvidiactl"], [], id="a driver without a GPU"),
    ],
)
def test_gpus(
    program: str | None, devices: list[str], found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_folder, device_folder = tmp_path / "bin", tmp_path / "dev"
    bin_folder.mkdir()
    device_folder.mkdir()
    if program is not None:
        (bin_folder / "nvidia-smi").write_text(f"#!/bin/sh\n{program}\n")
        (bin_folder / "nvidia-smi").chmod(0o755)
    for device in devices:
        (device_folder / device).touch()
    monkeypatch.setenv("PATH", str(bin_folder))
    assert [Path(name).name for name in machine.gpus(device_folder)] == found
    assert gpus.nvidia_gpu(device_folder) == bool(found), "what is set up is what is used"


def test_a_build_in_a_folder_of_pips_settings_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "torch-9.9.9+cpu-py3-none-any.whl", "w") as wheel:
        wheel.writestr("torch-9.9.9+cpu.dist-info/METADATA", "Metadata-Version: 2.1\nName: torch\nVersion: 9.9.9+cpu\n")
        wheel.writestr("torch-9.9.9+cpu.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("torch-9.9.9+cpu.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    pip, _ = sources("9.9.9", Path(sys.executable))
    assert "No matching distribution" in (LocalShell().problem(pip.find) or "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert LocalShell().problem(pip.find) is None


def test_an_index_that_does_not_answer_is_soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    _, index = sources("9.9.9", Path(sys.executable))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{silent.getsockname()[1]}")
        begun = time.monotonic()
        assert LocalShell().problem(index.find) is not None
        assert time.monotonic() - begun < 60


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("import torch_of_nobody", "ModuleNotFoundError: No module named 'torch_of_nobody'"),
        ("import os; os.kill(os.getpid(), 4)", "killed by SIGILL"),
        ("raise SystemExit(3)", "exit code 3"),
        ("import warnings; warnings.warn('old')", None),
    ],
)
def test_a_problem_is_one_line(program: str, problem: str | None) -> None:
    assert LocalShell().problem(Command((sys.executable, "-c", program))) == problem


def test_a_command_that_fails_is_named() -> None:
    with pytest.raises(SetupError, match=r"^it ended with 7: sh -c exit 7$"):
        LocalShell().run(Command(("sh", "-c", "exit 7")))


def test_another_python_is_told_in_a_line() -> None:
    program = (
        "import runpy, sys; sys.argv = ['setup', '--help']; sys.version_info = (3, 10, 4);"
        f"runpy.run_path({str(ROOT / 'setup')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("setup: this is Python 3.10, and 3.11, 3.12 or 3.13 is needed")
    assert done.stderr.count("\n") == 1


def test_a_machine_without_wheels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.platform, "machine", lambda: "riscv64")
    with pytest.raises(SetupError, match="linux on riscv64: the locks are for Linux on x86_64"):
        command.refuse()


def test_a_python_without_venv_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SetupError, match=r"Python's venv is not installed: apt install python3-venv"):
        command.refuse()


def test_what_vllm_compiles_with_is_told_before_anything_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(command, "Environment", None)
    assert command.main(["--device", "gpu"]) == 1
    assert capsys.readouterr().err.startswith("setup: vLLM compiles for the GPU when it starts, and there is no gcc")
