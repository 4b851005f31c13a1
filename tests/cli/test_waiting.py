"""`selfreward wait`: when it ends, and with which code."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli.test_standing import ENDED, a_run, true
from selfreward.cli.errors import CommandError
from selfreward.cli.place import HERE
from selfreward.cli.waiting import outcome, read_goal, wait_for
from selfreward.cluster.local.record import RunFolder

DONE = {"iterations": [{"number": 1, "steps": [{"key": "dpo-1", "step": "dpo", "state": "Succeeded"}]}]}


@pytest.mark.parametrize(
    ("status", "goal", "code"),
    [
        pytest.param({"phase": "Iterating"}, "finished", None, id="goes on"),
        pytest.param({"phase": "Iterating", **true("Stalled")}, "finished", None, id="stalled, which may pass"),
        pytest.param({**ENDED, **true("Succeeded")}, "finished", 0, id="succeeded"),
        pytest.param({**ENDED, **true("Failed")}, "finished", 1, id="failed"),
        pytest.param({"phase": "Suspended"}, "finished", 2, id="suspended"),
        pytest.param({"phase": "Waiting"}, "finished", 2, id="needs approval"),
        pytest.param({"phase": "Waiting"}, "phase=Waiting", 0, id="that is what was waited for"),
        pytest.param({"phase": "Iterating", **DONE}, "step=dpo-1", 0, id="a step"),
        pytest.param({"phase": "Iterating", **DONE}, "step=dpo-2", None, id="a later step"),
        pytest.param({**ENDED, **true("Succeeded"), **DONE}, "step=dpo-2", 1, id="a step that never comes"),
        pytest.param(true("Stalled"), "condition=Stalled", 0, id="a condition"),
    ],
)
def test_an_outcome(status: dict[str, Any], goal: str, code: int | None) -> None:
    found = outcome(a_run(status, {}), goal, read_goal(goal))
    assert (found and found[0]) == code


def test_a_run_that_waits_for_its_time_is_waited_for() -> None:
    run = a_run({"phase": "Waiting"}, {})
    schedule = type(run.spec.schedule).model_validate({"cron": "0 0 * * *"})
    run = run.model_copy(update={"spec": run.spec.model_copy(update={"schedule": schedule})})
    assert outcome(run, "finished", read_goal("finished")) is None


@pytest.mark.parametrize("goal", ["done", "phase=Done", "condition=", "step", "finished=1"])
def test_no_goal(goal: str) -> None:
    with pytest.raises(CommandError, match=f"--for {goal}: is none of"):
        read_goal(goal)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[dict[str, Any]], RunFolder]:
    def save(status: dict[str, Any]) -> RunFolder:
        folder = RunFolder(tmp_path, "demo")
        folder.path.mkdir(exist_ok=True)
        folder.save(a_run(status, {}))
        return folder

    return save


def test_a_run_of_this_machine_is_followed_to_its_end(saved: Callable[[dict[str, Any]], RunFolder]) -> None:
    folder = saved({"phase": "Iterating"})
    looks = iter([{"phase": "Iterating"}, {**ENDED, **true("Succeeded")}])
    with folder.locked():
        assert wait_for("demo", folder.path.parent, HERE, "finished", sleep=lambda _: saved(next(looks)) and None) == 0
    assert next(looks, None) is None


def test_a_run_that_nobody_walks_is_held(
    saved: Callable[[dict[str, Any]], RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = saved({"phase": "Iterating"})
    assert wait_for("demo", folder.path.parent, HERE, "finished", sleep=lambda _: None) == 2
    assert "demo: nobody walks it: selfreward run FILE lets it go on" in capsys.readouterr().err


@pytest.mark.parametrize(("timeout", "seconds"), [("90s", 90), ("2m", 120), ("7", 7), ("1h", 3600)])
def test_the_time_is_over(saved: Callable[[dict[str, Any]], RunFolder], timeout: str, seconds: int) -> None:
    folder, times = saved({"phase": "Iterating"}), iter([0.0, seconds - 1.0, float(seconds)])
    with folder.locked():
        code = wait_for(
            "demo", folder.path.parent, HERE, "finished", timeout, clock=lambda: next(times), sleep=lambda _: None
        )
    assert code == 124


def test_no_time(saved: Callable[[dict[str, Any]], RunFolder]) -> None:
    with pytest.raises(CommandError, match="--timeout soon: use a number"):
        wait_for("demo", saved({}).path.parent, HERE, "finished", "soon")


def test_who_walks_a_run(saved: Callable[[dict[str, Any]], RunFolder]) -> None:
    folder = saved({})
    assert not folder.is_walked()
    with folder.locked():
        assert folder.is_walked()
    assert not folder.is_walked(), "this process lives, and its lock is gone"
    (folder.path / "lock").write_text(f"{2**22 + 1}\n")
    with (folder.path / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert not folder.is_walked(), "no such process"
    assert os.getpid() != 2**22 + 1
