"""`selfreward run`: how it stops, resumes, refuses and fails; no step beyond the import is needed for that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli.conftest import Answer, Command
from cluster.conftest import marked


class Started:
    """A run under way, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.status = folder / "runs" / "demo" / "status.json"
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "selfreward.cli.main", "run", "run.yaml"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def until_running(self) -> None:
        deadline = time.monotonic() + 120
        while not (self.status.exists() and '"Running"' in self.status.read_text()):
            assert self.popen.poll() is None, self.popen.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def answer(self) -> Answer:
        out, err = self.popen.communicate(timeout=120)
        assert "Traceback" not in out + err
        return Answer(self.popen.returncode, out, err)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., None]:
    """`run.yaml` of a run whose model is not there yet, or never will be."""

    def written(**spec: Any) -> None:
        base: dict[str, Any] = {
            "model": {"uri": "file://./model"},
            "prompts": {"generator": "file", "source": {"uri": "file://./prompts.jsonl"}},
            "serving": {"command": ["no-such-server"]},
        }
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "prompts.jsonl").write_text('{"prompt": "Why is the sky blue?"}\n')
        (tmp_path / "run.yaml").write_text(yaml.safe_dump({"metadata": {"name": "demo"}, "spec": base | spec}))

    return written


HANGING = "import time\nprint('hanging', flush=True)\ntime.sleep(600)\n"
REFUSING = """
import json, os, sys
uri = json.loads(os.environ["SELFREWARD_CONFIG"])["models"][0]["source"]["uri"]
result = {"step": "import", "succeeded": False, "reason": "NoWeights", "failureClass": "Permanent"}
result["message"] = f"models[0].source.uri: {uri}: holds no safetensors and no GGUF: name a folder that does"
open(os.environ["SELFREWARD_TERMINATION_LOG"], "w").write(json.dumps(result))
sys.exit(64)
"""


@pytest.fixture
def steps_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a script in place of the steps. The runner itself needs the real package and keeps it."""

    def put(script: str) -> None:
        package = tmp_path / "other" / "selfreward_steps"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "__main__.py").write_text(script)
        site = tmp_path / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(
            "import sys\nif sys.argv[0] == '-m' and 'selfreward_steps' in sys.orig_argv:\n"
            f"    sys.path.insert(0, {str(package.parent)!r})\n"
        )
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))

    return put


@pytest.fixture
def started(tmp_path: Path, write: Callable[..., None], steps_are: Callable[[str], None]) -> Iterator[Started]:
    write()
    steps_are(HANGING)
    run = Started(tmp_path)
    run.until_running()
    yield run
    if run.popen.poll() is None:
        run.popen.kill()
        run.popen.communicate()
    deadline = time.monotonic() + 30
    while marked(str(run.status.parent)):
        assert time.monotonic() < deadline, "a process outlived its runner"
        time.sleep(0.05)


def phase(started: Started) -> str:
    return str(json.loads(started.status.read_text())["status"]["phase"])


def test_ctrl_c_stops_cleanly_and_says_how_to_resume(started: Started) -> None:
    started.popen.send_signal(signal.SIGINT)
    answer = started.answer()
    assert answer.code == 130
    assert answer.err == "run demo is stopped; the same command resumes it\n"
    assert "stopping: what is committed is kept (once more kills)" in answer.out
    assert phase(started) == "Suspended"


def test_a_suspended_run_is_no_success(write: Callable[..., None], selfreward: Command) -> None:
    write(suspend=True)
    answer = selfreward("run", "run.yaml")
    assert answer.code == 2
    assert "run demo is suspended (spec.suspend: true)" in answer.err
    assert selfreward("status", "demo").code == 2


def test_a_second_runner_is_refused(started: Started, selfreward: Command) -> None:
    answer = selfreward("run", "run.yaml")
    assert answer.code == 64
    assert f"another runner (pid {started.popen.pid}) walks this run" in answer.err
    assert answer.err.count("\n") == 1


def test_status_can_be_asked_while_it_runs(started: Started, selfreward: Command) -> None:
    answer = selfreward("status", "demo", "-o", "json")
    (row, *_) = json.loads(answer.out)["status"]["iterations"][0]["steps"]
    assert (row["key"], row["state"]) == ("import", "Running")
    table = selfreward("status", "run.yaml").out
    assert "import" in table
    assert "Running" in table


def test_a_failed_run_says_why_and_goes_on_from_there_when_mended(
    selfreward: Command, write: Callable[..., None], steps_are: Callable[[str], None], tmp_path: Path
) -> None:
    write()
    steps_are(REFUSING)
    first = selfreward("run", "run.yaml")
    assert first.code == 64
    uri = (tmp_path / "model").as_uri()
    assert first.err.splitlines() == [
        f"run.yaml: run demo failed: ConfigurationError: import: NoWeights: models[0].source.uri: {uri}: holds no "
        "safetensors and no GGUF: name a folder that does",
        f"logs: {tmp_path}/runs/demo/children/demo-import-a1",
        "the same command tries again from there",
    ]
    # The user mends the path, which a run of which nothing has succeeded allows.
    write(model={"uri": "file://./better"})
    (tmp_path / "better").mkdir()
    second = selfreward("run", "run.yaml")
    assert second.code == 64
    assert "run demo failed before: trying again from import" in second.out
    assert f"{tmp_path.as_uri()}/better: holds no" in second.err


def test_a_store_that_cannot_be_is_one_line(selfreward: Command, write: Callable[..., None]) -> None:
    write(storage={"uri": "s3://B/x"})
    answer = selfreward("run", "run.yaml")
    assert answer.code == 64
    (line,) = answer.err.splitlines()
    assert line.startswith("run.yaml: spec.storage.uri: s3://B/x: 'B' is not a bucket name")


def test_an_iteration_that_needs_approval_ends_the_runner(
    started: Started, write: Callable[..., None], selfreward: Command
) -> None:
    started.popen.send_signal(signal.SIGINT)
    started.answer()
    record = json.loads(started.status.read_text())
    record["status"]["iterations"][0]["steps"][0] |= {"state": "Succeeded", "outputs": {"seed": "s", "m0": "m"}}
    started.status.write_text(json.dumps(record))
    write(schedule={"approval": True}, evaluation={"enabled": False})
    answer = selfreward("run", "run.yaml")
    assert answer.code == 2
    assert answer.err == (
        'run demo: iteration 1 waits for approval: set the annotation selfreward.dev/approved-iteration to "1" in '
        "run.yaml and run the same command\n"
    )
