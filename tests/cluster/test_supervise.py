"""The supervisor: nothing outlives the runner, whoever dies and however."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from selfreward.cluster.local.process import SUPERVISOR


class Supervised:
    """A supervisor as a runner would start it, with a script to run."""

    def __init__(self, folder: Path, script: str, argv: list[str] | None = None) -> None:
        self.record, self.log = folder / "record.json", folder / "log"
        request = {
            "argv": argv or [sys.executable, "-c", script],
            "env": dict(os.environ),
            "cwd": str(folder),
            "log": str(self.log),
            "record": str(self.record),
        }
        self.popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SUPERVISOR)], stdin=subprocess.PIPE, start_new_session=True
        )
        self.tell(json.dumps(request))

    def tell(self, line: str) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(line.encode() + b"\n")
        self.popen.stdin.flush()

    def recorded(self) -> dict[str, Any]:
        return dict(json.loads(self.record.read_text()))

    def said(self, text: str) -> None:
        until(lambda: self.log.exists() and text in self.log.read_text())

    def end(self) -> int:
        code = self.popen.wait(timeout=20)
        if self.popen.stdin is not None:
            self.popen.stdin.close()
        return code


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


FAMILY = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
inner = "import os, time; os.setsid(); print('pid', os.getpid(), flush=True); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", inner], stdout=1)
print('pid', os.getpid(), flush=True)
time.sleep(600)
"""


def family(supervised: Supervised) -> list[int]:
    """A process that ignores SIGTERM, and a child of it in a session of its own."""
    until(lambda: supervised.log.exists() and supervised.log.read_text().count("pid") == 2)
    return [int(line.split()[1]) for line in supervised.log.read_text().splitlines()]


@pytest.mark.parametrize(
    ("script", "exit_code", "recorded"),
    [
        pytest.param("", 0, 0, id="ends"),
        pytest.param("raise SystemExit(64)", 64, 64, id="fails"),
        pytest.param("import os; os.kill(os.getpid(), 9)", 137, -9, id="killed"),
        pytest.param("import os; os.abort()", 134, -6, id="crashes"),
    ],
)
def test_the_end_is_recorded(tmp_path: Path, script: str, exit_code: int, recorded: int) -> None:
    supervised = Supervised(tmp_path, script)
    assert supervised.end() == exit_code
    record = supervised.recorded()
    assert record["exit"] == recorded
    assert record["pid"] == supervised.popen.pid


def test_a_program_that_is_not_there_is_told_in_the_log(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path, "", argv=["no-such-program"])
    assert supervised.end() == 127
    assert "no-such-program: No such file or directory" in supervised.log.read_text()


def test_stop_lets_a_process_end_by_itself(tmp_path: Path) -> None:
    stopping = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(143))"
    script = f"{stopping}; print('up', flush=True); time.sleep(600)"
    supervised = Supervised(tmp_path, script)
    supervised.said("up")
    supervised.tell("30")
    assert supervised.end() == 143
    assert supervised.recorded()["orphaned"] is False


def test_a_stop_right_after_the_start_is_not_lost(tmp_path: Path) -> None:
    """Both lines may be read in one go, and the signal may come before the program runs."""
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        started = time.monotonic()
        supervised = Supervised(folder, "import time; time.sleep(600)")
        supervised.tell("600")
        assert supervised.end() == 143
        assert time.monotonic() - started < 60


@pytest.mark.parametrize("way", ["stop", "runner gone", "SIGTERM to the supervisor"])
def test_a_family_that_will_not_end_is_killed(tmp_path: Path, way: str) -> None:
    supervised = Supervised(tmp_path, FAMILY)
    pids = family(supervised)
    match way:
        case "stop":
            supervised.tell("0.2")
        case "runner gone":
            assert supervised.popen.stdin is not None
            supervised.popen.stdin.close()
        case _:
            supervised.popen.send_signal(signal.SIGTERM)
    assert supervised.end() == 137
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_what_a_process_leaves_behind_goes_with_it(tmp_path: Path) -> None:
    script = (
        "import os, subprocess, sys\n"
        "inner = 'import os, time; os.setsid(); print(\"pid\", os.getpid(), flush=True); time.sleep(600)'\n"
        "child = subprocess.Popen([sys.executable, '-c', inner], stdout=subprocess.PIPE, text=True)\n"
        "print(child.stdout.readline(), flush=True)\n"
        "os._exit(3)\n"
    )
    supervised = Supervised(tmp_path, script)
    assert supervised.end() == 3
    (pid,) = (int(line.split()[1]) for line in supervised.log.read_text().splitlines() if line)
    assert not psutil.pid_exists(pid)


def test_a_killed_supervisor_takes_its_process_along(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path, "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)")
    supervised.said("pid")
    pid = int(supervised.log.read_text().split()[1])
    supervised.popen.kill()
    supervised.end()
    until(lambda: not psutil.pid_exists(pid))


def test_it_costs_next_to_nothing(tmp_path: Path) -> None:
    """A run starts hundreds of shards. Processor time, since the machine may be busy with something else."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(3):
        Supervised(tmp_path, "", argv=["true"]).end()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 3 < 0.15
