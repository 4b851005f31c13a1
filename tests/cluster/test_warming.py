"""Processes that import before their turn: they become what is asked for, or nothing is lost by them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from cluster.conftest import marked
from render.cases import create_step, run_of
from selfreward.cluster.local import warming
from selfreward.cluster.local.cluster import LocalCluster
from selfreward.cluster.local.devices import Sharing
from selfreward.cluster.local.process import Exit, Process, Program
from selfreward.cluster.local.warming import TRAINING, VLLM, Warm
from selfreward.plan.graph import build_graph
from selfreward_steps.store import open_store

PROGRAM = """
import json, os, sys
import slowly
told = {"argv": sys.argv[1:], "config": os.environ.get("SELFREWARD_CONFIG"), "cwd": os.getcwd(), "pid": os.getpid()}
print(json.dumps({**told, "imported_by": slowly.PID, "name": __name__, "own": os.environ.get("OWN"),
                  "gpu": os.environ.get("GPU")}), flush=True)
sys.exit(3)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """`python -m shortly`, which needs a module that says in which process it was imported."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "shortly.py").write_text(PROGRAM)
    (code / "slowly.py").write_text("import os\nPID = os.getpid()\n")
    (code / "setting.py").write_text(
        "import os\nos.environ.setdefault('GPU', '0')\nos.environ.setdefault('OWN', '9')\n"
    )
    (code / "broken.py").write_text("raise ImportError('no such library')\n")
    monkeypatch.setattr(warming, "_SERVER", "shortly")
    monkeypatch.setattr(warming, "_IMPORTED", {VLLM: ("slowly",)})
    environment = {**os.environ, "PYTHONPATH": str(code), "OWN": "1", "SELFREWARD_CONFIG": "not yet"}
    return Program("step", [sys.executable, "-m", "shortly", "a"], environment)


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[Warm]:
    made = Warm(tmp_path / "warm", str(tmp_path))
    yield made
    made.stop()
    assert marked(str(tmp_path)) == []


def ended(process: Process) -> Exit:
    deadline = time.monotonic() + 30
    while (found := process.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def test_a_process_becomes_the_program_and_has_imported_already(tmp_path: Path, program: Program, warm: Warm) -> None:
    warm.prepare(VLLM, program)
    warm.prepare(VLLM, program)
    deadline = time.monotonic() + 30
    while not (waiting := [pid for pid in marked(str(tmp_path)) if "-P" in psutil.Process(pid).cmdline()]):
        assert time.monotonic() < deadline
    asked = {**program.environment, "SELFREWARD_CONFIG": "{}", "MASTER_PORT": "7"}
    process = warm.take(replace(program, environment=asked), tmp_path / "step.log")
    assert process is not None
    assert ended(process) == Exit(code=3, asked=False)
    told = json.loads((tmp_path / "step.log").read_text())
    assert told == {
        "argv": ["a"],
        "config": "{}",
        "cwd": os.getcwd(),
        "pid": waiting[0],
        "imported_by": waiting[0],
        "name": "__main__",
        "own": "1",
        "gpu": None,
    }
    assert not list((tmp_path / "warm").rglob("order.json")), "it holds keys"
    assert not warm.has(VLLM)


def test_what_an_import_has_set_holds_for_the_program_too(
    tmp_path: Path, program: Program, warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process that sees two GPUs is data parallelism to transformers: the steps' import sets which one it sees."""
    monkeypatch.setattr(warming, "_IMPORTED", {VLLM: ("slowly", "setting")})
    warm.prepare(VLLM, program)
    process = warm.take(program, tmp_path / "step.log")
    assert process is not None
    ended(process)
    told = json.loads((tmp_path / "step.log").read_text())
    assert (told["gpu"], told["own"]) == ("0", "1")


def test_another_environment_than_it_imported_with_is_no_fit(tmp_path: Path, program: Program, warm: Warm) -> None:
    warm.prepare(VLLM, program)
    other = replace(program, environment={**program.environment, "OWN": "2"})
    assert warm.take(other, tmp_path / "step.log") is None
    assert warm.take(program, tmp_path / "step.log") is None, "it was stopped, and none waits"


def test_one_that_could_not_import_is_left(
    tmp_path: Path, program: Program, warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warming, "_IMPORTED", {VLLM: ("broken",)})
    warm.prepare(VLLM, program)
    deadline = time.monotonic() + 30
    (log,) = (tmp_path / "warm").rglob("warm.log")
    # A process that has only just begun bears no mark yet.
    while "no such library" not in log.read_text() or marked(str(tmp_path)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert warm.take(program, tmp_path / "step.log") is None


def test_it_ends_when_it_is_told_to_as_the_program(tmp_path: Path, program: Program, warm: Warm) -> None:
    (Path(program.environment["PYTHONPATH"]) / "shortly.py").write_text(
        "import time\nprint('up', flush=True)\ntime.sleep(60)"
    )
    warm.prepare(VLLM, program)
    process = warm.take(program, tmp_path / "step.log")
    assert process is not None
    deadline = time.monotonic() + 30
    while "up" not in (tmp_path / "step.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.stop(5)
    assert ended(process) == Exit(code=-15, asked=True)


@pytest.mark.parametrize(
    "argv",
    [
        ["sh", "-c", "true"],
        [sys.executable, "-m", "torch.distributed.run", "-m", "selfreward_steps", "dpo"],
        [sys.executable, "-m", "selfreward_steps", "pairs"],
        [],
    ],
)
def test_of_other_programs_nothing_is_known(program: Program, warm: Warm, argv: list[str]) -> None:
    assert warm.lacks(TRAINING)
    warm.prepare(TRAINING, replace(program, argv=argv))
    assert not warm.lacks(TRAINING), "a look a second must not make its manifest again and again"
    assert not warm.has(TRAINING)
    assert warm.take(replace(program, argv=argv), Path("none")) is None


async def test_a_run_imports_for_its_training_and_server_while_another_step_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warming, "_IMPORTED", {TRAINING: ("json",), VLLM: ("json",)})
    run = run_of(storage={"uri": f"file://{tmp_path}/store"}, serving={"engine": "vllm"})
    graph = build_graph(run.spec)
    store = open_store(f"file://{tmp_path}/store/namespace=research/demo")
    cluster = LocalCluster(tmp_path / "run", store, lambda: datetime.now(UTC), Sharing(warms=True))
    warm = cluster._warm
    assert warm is not None
    try:
        await cluster.observe(run, graph, {})
        assert not warm.has(TRAINING), "nothing is at work"
        await cluster.create_step(run, *create_step(run, "import"))
        await cluster.observe(run, graph, {})
        assert warm.has(TRAINING)
        assert warm.has(VLLM)
        await cluster.create_step(run, *create_step(run, "sft"))
        assert not warm.has(TRAINING), "the training that has begun took it"
    finally:
        cluster.stop_all(grace=0)
        while cluster.is_busy:
            await asyncio.sleep(0.05)
            cluster.refresh()
    assert marked(str(tmp_path / "run")) == []
