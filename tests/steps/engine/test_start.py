"""The start of a kept server: with the model that is current, not before, and known to live by its lock."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from selfreward_steps.agent.models import Models
from selfreward_steps.contract import MODEL_DIGEST_VARIABLE, MODEL_DIR_VARIABLE, MODEL_NAME_VARIABLE, StoreConfig
from selfreward_steps.engine.lend import lend

SERVER = """
import json, os, sys, time
from selfreward_steps.engine.exchange import Exchange
names = json.loads(sys.argv[3])
print(json.dumps([sys.argv[1:3], *(os.environ[name] for name in names)]), flush=True)
time.sleep(60)
"""
NAMES = (MODEL_NAME_VARIABLE, MODEL_DIGEST_VARIABLE)


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path, StoreConfig(uri="file:///nowhere"))


def start(folder: Path) -> subprocess.Popen[str]:
    """As the container of a server's image starts, which has of ours what was lent to it."""
    lend(folder / "lent")
    file = folder / "lent" / "selfreward_steps" / "engine" / "start.py"
    arguments = [f"--model=$({MODEL_DIR_VARIABLE})", f"--served-model-name=$({MODEL_NAME_VARIABLE})"]
    command = [sys.executable, str(file), str(folder), sys.executable, "-c", SERVER, *arguments, json.dumps(NAMES)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/")


def test_it_starts_with_the_model_that_is_current(tmp_path: Path, models: Models) -> None:
    with start(tmp_path) as server:
        time.sleep(0.5)
        assert server.poll() is None
        assert not models.has_engine(), "it waits, and holds nothing"
        models.make_current("m2", "sha256:2")
        assert server.stdout is not None
        told = json.loads(server.stdout.readline())
        assert told == [[f"--model={tmp_path}/m2", "--served-model-name=m2"], "m2", "sha256:2"]
        assert models.has_engine()
        server.kill()
    assert not models.has_engine()


def test_a_server_that_waits_stops_when_told(tmp_path: Path) -> None:
    with start(tmp_path) as server:
        time.sleep(0.5)
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 143
