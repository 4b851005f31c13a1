"""Ranks that are forked from a process which has imported ahead of its turn: they do and end as torchrun's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from cluster.conftest import identity, marked
from selfreward.cluster.local.manifests import Place, work_of
from selfreward.cluster.local.ports import free_port
from selfreward.cluster.local.warming import TRAINING, Warm
from selfreward.cluster.local.work import Work
from selfreward.plan import ChildKind, ChildPhase
from selfreward_steps.contract import TERMINATION_LOG_VARIABLE, FailureClass
from selfreward_steps.training import launcher
from training_bench import Bench

SETTINGS = {
    "precision": "fp32",
    "learningRate": 1e-3,
    "minLearningRate": 1e-4,
    "batchSize": 8,
    "perDeviceBatchSize": 2,
    "checkpointSteps": 10_000,
}
DPO = {"model": "m0", "reference": "m0", "pairs": "iteration-1/pairs"}


@dataclass
class Local:
    """Where the local cluster runs a training of two processes over a bench."""

    bench: Bench
    place: Place
    warm: Warm

    def training(self, output: str, **settings: object) -> Work:
        """The training, begun by a process that waited for it."""
        environment = self.bench._environment(
            "dpo", output, {**SETTINGS, **settings}, self.place.folder, {"inputs": DPO, "iteration": 1}
        )
        # The pod has its own.
        del environment[TERMINATION_LOG_VARIABLE]
        container = {
            "name": "pytorch",
            "command": ["python3", "-m", "torch.distributed.run", "-m", "selfreward_steps", "dpo"],
            "env": [{"name": name, "value": value} for name, value in environment.items()],
        }
        pod = {"spec": {"terminationGracePeriodSeconds": 30, "containers": [container]}}
        spec = {"nprocPerNode": "2", "pytorchReplicaSpecs": {"Master": {"replicas": 1, "template": pod}}}
        work = work_of(identity(ChildKind.TRAINING), {"kind": "PyTorchJob", "spec": spec}, self.place)
        self.warm.prepare(TRAINING, work.program)
        assert self.warm.has(TRAINING)
        work.refresh(datetime.now(UTC))
        assert not self.warm.has(TRAINING), "the training took it"
        return work

    def ranks(self) -> list[psutil.Process]:
        """The forked processes, which are named after their ranks."""
        found = {process.name(): process for process in map(psutil.Process, marked(self.place.mark))}
        return [found[name] for name in sorted(found) if name.startswith("rank ")]


@pytest.fixture
def local(bench: Bench, tmp_path: Path) -> Iterator[Local]:
    folder = tmp_path / "child"
    folder.mkdir()
    warm = Warm(tmp_path / "warm", str(tmp_path))
    home = {"HOME": os.environ.get("HOME", "/")}
    yield Local(bench, Place(folder, tmp_path / "local-scratch", str(tmp_path), home, {}, {}, warm), warm)
    warm.stop()
    assert marked(str(tmp_path)) == []


def seen(work: Work, there: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        work.refresh(datetime.now(UTC))
        assert time.monotonic() < deadline, "".join(log.read_text() for log in work.logs)
        time.sleep(0.02)


def test_forked_ranks_make_the_very_model_that_torchruns_make(local: Local) -> None:
    alone = local.bench.run("dpo", "cold", SETTINGS, inputs=DPO, iteration=1, ranks=2)
    assert alone.result["succeeded"], alone.errors
    work = local.training("warm")
    seen(work, lambda: len(local.ranks()) == 2)
    for rank in local.ranks():
        assert "warm.py" in " ".join(rank.cmdline()), "forked, not started"
    seen(work, lambda: work.observed().phase is not ChildPhase.RUNNING)
    assert work.observed().phase is ChildPhase.SUCCEEDED, work.logs[0].read_text()
    (result,) = work.observed().results
    assert (result.reason, result.metrics["steps"]) == ("Committed", 6)
    assert local.bench.weights("warm") == local.bench.weights("cold")


def test_a_forked_rank_that_is_killed_ends_the_other_and_is_told_of(local: Local) -> None:
    work = local.training("warm", epochs=500)
    seen(work, lambda: '"loss"' in work.logs[0].read_text())
    local.ranks()[1].send_signal(signal.SIGKILL)
    seen(work, lambda: work.observed().phase is ChildPhase.FAILED)
    (failure,) = work.observed().failures
    assert (failure.failure_class, failure.reason) == (FailureClass.APPLICATION, "Killed")
    assert failure.message == "process 1 of the training was killed (SIGKILL), most likely because memory ran out"


def test_forked_ranks_that_are_told_to_stop_keep_a_checkpoint(local: Local) -> None:
    work = local.training("warm", epochs=500)
    seen(work, lambda: '"loss"' in work.logs[0].read_text())
    work.stop()
    seen(work, lambda: work.is_gone)
    (result,) = work.observed().results
    assert (result.reason, result.failure_class) == ("Stopped", FailureClass.INFRASTRUCTURE)
    (checkpoint,) = local.bench.checkpoints("warm")
    assert "/ranks-2/" in checkpoint


def test_a_forked_ranks_own_failure_is_the_attempts(local: Local) -> None:
    work = local.training("warm", batchSize=7)
    seen(work, lambda: work.observed().phase is ChildPhase.FAILED)
    (failure,) = work.observed().failures
    assert (failure.failure_class, failure.reason) == (FailureClass.PERMANENT, "BatchNotDivisible")


def test_what_asks_cuda_before_the_ranks_are_there_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not launcher.cuda_started()
    device = tmp_path / "nvidia-uvm"
    monkeypatch.setattr(launcher, "_DRIVER", str(device))
    with device.open("w"):
        assert launcher.cuda_started()
    assert not launcher.cuda_started()
    monkeypatch.setattr(launcher.torch.cuda, "_is_in_bad_fork", lambda: True)
    assert launcher.cuda_started()


END = """
import atexit, os, sys
from selfreward_steps.attempt import launch
from selfreward_steps.training import launcher

def step(arguments):
    atexit.register(lambda: print("at the end of rank", os.environ["RANK"], arguments, flush=True))
    return 0

launch.main = step
if sys.argv[1] == "cuda":
    launcher.cuda_started = lambda: True
launcher.main(["import"])
"""


@pytest.mark.parametrize("cuda", ["cuda", "none"])
def test_ranks_end_as_programs_do_and_are_programs_where_cuda_was_started(cuda: str) -> None:
    address = {"PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": str(free_port())}
    environment = {**os.environ, **address, "PET_NPROC_PER_NODE": "2", "PET_LOCAL_ADDR": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", END, cuda], env=environment, capture_output=True, text=True, check=False
    )
    if cuda == "cuda":
        # Not the function above but `python -m selfreward_steps`, which has no configuration here.
        assert "SELFREWARD_CONFIG is not set" in done.stderr
        assert done.returncode == 1
    else:
        assert done.returncode == 0, done.stderr
        assert sorted(done.stdout.splitlines()) == [f"at the end of rank {rank} ['import']" for rank in (0, 1)]
