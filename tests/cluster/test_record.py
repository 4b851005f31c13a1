"""The record and the lock of a run's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from selfreward.api import Phase, RunStatus, SelfRewardRun
from selfreward.cluster.local.record import RecordUnreadable, RunFolder, RunLocked, recorded


def run_of(**spec: object) -> SelfRewardRun:
    return SelfRewardRun.model_validate(
        {"metadata": {"name": "demo"}, "spec": {"model": {"uri": "hf://a/b"}, "randomSeed": 1, **spec}}
    )


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "demo")
    with folder.locked():
        assert folder.load() is None
        run = recorded(run_of(), None).model_copy(update={"status": RunStatus(phase=Phase.ITERATING)})
        folder.save(run)
        assert folder.load() == run
    assert sorted(path.name for path in folder.path.iterdir()) == ["lock", "status.json"], "no half-written file"


def test_a_second_runner_is_told_who_the_first_is(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from selfreward.cluster.local.record import RunFolder\n"
        "with RunFolder(Path(sys.argv[1]), 'demo').locked():\n"
        "    print('locked', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with (
            pytest.raises(RunLocked, match=rf"another runner \(pid {other.pid}\)"),
            RunFolder(tmp_path, "demo").locked(),
        ):
            pytest.fail("two runners at once")
        other.kill()
        other.wait()
    with RunFolder(tmp_path, "demo").locked():
        assert (tmp_path / "demo" / "lock").read_text() == f"{os.getpid()}\n", "a killed runner holds nothing"


def test_a_record_of_another_version_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "demo")
    folder.path.mkdir()
    folder.record.write_text('{"metadata": {"name": "demo"}, "spec": {"model": {"uri": "hf://a/b"}, "future": 1}}')
    with pytest.raises(RecordUnreadable, match=r"status\.json: not a record of this version \(1 fields do not fit\)"):
        folder.load()


def test_a_changed_spec_is_a_new_generation() -> None:
    first = recorded(run_of(), None)
    assert (first.metadata.generation, bool(first.metadata.uid)) == (1, True)
    assert recorded(run_of(), first).metadata == first.metadata
    changed = recorded(run_of(iterations=3), first)
    assert (changed.metadata.generation, changed.metadata.uid) == (2, first.metadata.uid)
