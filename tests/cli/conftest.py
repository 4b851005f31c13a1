"""The command line, run as the user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture
def selfreward(tmp_path: Path) -> Command:
    """`selfreward ARGUMENTS` in a folder of its own; a traceback is never an answer."""

    def run(*arguments: str, stdin: str | None = None, **variables: str) -> Answer:
        done = subprocess.run(
            [sys.executable, "-m", "selfreward.cli.main", *arguments],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert "Traceback" not in done.stdout + done.stderr
        return Answer(done.returncode, done.stdout, done.stderr)

    return run
