"""kill -9 of a runner: its children go within seconds, and the next runner finds none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.conftest import marked
from selfreward.cluster.local.leftovers import kill_leftovers

RUNNER = """
import os, sys, time
from datetime import UTC, datetime
from pathlib import Path
sys.path.insert(0, {tests!r})
from cluster.conftest import identity, job
from selfreward.cluster.local.manifests import Place, work_of

folder = Path(sys.argv[1])
script = '''
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import os, time; os.setsid(); print('up', flush=True); time.sleep(600)"])
print("up", flush=True)
time.sleep(600)
'''
place = Place(folder, folder, str(folder), dict(HOME="/"), dict(), dict())
work = work_of(identity(), job(script, shards=2, parallelism=2), place)
while sum(log.exists() and log.read_text().count("up") for log in work.logs) < 4:
    work.refresh(datetime.now(UTC))
    time.sleep(0.05)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A runner with two shards, each of which ignores SIGTERM and has a child in a session of its own."""
    script = RUNNER.format(tests=str(Path(__file__).parent.parent))
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        assert runner.stdout.readline() == "ready\n"
        yield runner
        runner.kill()
    kill_leftovers(str(tmp_path))


def test_its_children_end_by_themselves(runner: subprocess.Popen[str], tmp_path: Path) -> None:
    assert len(marked(str(tmp_path))) >= 6  # two supervisors, two shards, two grandchildren
    runner.kill()
    runner.wait()
    deadline = time.monotonic() + 15
    while marked(str(tmp_path)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_next_runner_kills_what_is_left(runner: subprocess.Popen[str], tmp_path: Path) -> None:
    """Even when a supervisor was stopped in its tracks and cannot do its part."""
    for pid in marked(str(tmp_path)):
        os.kill(pid, signal.SIGSTOP)
    runner.kill()
    runner.wait()
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        assert kill_leftovers(str(tmp_path)) >= 6
        assert marked(str(tmp_path)) == []
        assert other.poll() is None, "a process without the mark is nobody's business"
    finally:
        other.kill()
        other.wait()
