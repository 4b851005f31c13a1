"""A commit killed with SIGKILL at any point leaves no artifact or a whole one, and the next one succeeds."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("killed_commit.py")
FEWEST_POINTS = {"file": 10, "s3": 8}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "output"
    (folder / "nested").mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"weights" * 1000)
    (folder / "nested" / "config.json").write_bytes(b"{}")
    return folder


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_a_kill_at_any_point(
    request: pytest.FixtureRequest, tmp_path: Path, output: Path, s3_prefix: str, kind: str
) -> None:
    if kind == "file":
        where = [(tmp_path / "store").as_uri(), str(output)]
    else:
        where = [f"s3://artifacts/{s3_prefix}", str(output), request.getfixturevalue("s3_endpoint")]
    done = subprocess.run([sys.executable, str(PROGRAM), *where], capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stderr) == (0, "")
    reports: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]

    killed, finished = reports[:-1], reports[-1]
    assert (finished["status"], finished["committed"]) == (0, True)
    assert len(killed) >= FEWEST_POINTS[kind]
    assert all(report["killed"] for report in killed)
    assert not killed[0]["committed"], "the first point comes before anything is published"
    for report in reports:
        assert report["problems"] == [], report
        assert report["listed"] == (["run/m1"] if report["committed"] else []), report
        assert report["problems_after"] == [], report
        assert report["digest"] == finished["digest"], report
        assert report["leftovers"] == [], report
        assert report["after_delete"] == [], report
