"""What is shown of a run under way: in place on a terminal, in lines elsewhere."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console
from selfreward.api import RunStatus, SelfRewardRun
from selfreward.cli.displays.live import LiveDisplay
from selfreward.cli.displays.outcome import step_table
from selfreward.cli.displays.plain import PlainDisplay
from selfreward.plan import Decision, Observed, RunEvent
from selfreward.plan.types import EventReason
from selfreward_steps.errors import InfrastructureError

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat()


def row(key: str, state: str, **fields: Any) -> dict[str, Any]:
    step = re.sub(r"-(m?\d+)$", "", key)
    return {"key": key, "step": step, "state": state, "attempt": 1, "startedAt": ago(90), **fields}


def run_with(*rows: dict[str, Any], servings: tuple[dict[str, Any], ...] = (), iteration: int = 1) -> SelfRewardRun:
    status = {
        "phase": "Iterating",
        "startedAt": ago(125),
        "iterations": [{"number": iteration, "steps": list(rows)}],
        "servings": list(servings),
    }
    run = SelfRewardRun.model_validate({"metadata": {"name": "demo"}, "spec": {"model": {"uri": "hf://a/b"}}})
    return run.model_copy(update={"status": RunStatus.model_validate(status)})


RUN = run_with(
    row("prompts-1", "Succeeded", finishedAt=ago(30), metrics={"prompts": 64, "attempts": 80, "acceptance_rate": 0.8}),
    row("respond-1", "Running", progress={"done": 48, "total": 64, "unit": "prompts"}),
    row("judge-1", "Waiting", retryAt=(NOW + timedelta(seconds=40)).isoformat(), message="the server hung up"),
    row("pairs-1", "Waiting", attempt=0, startedAt=None),
    servings=({"model": "m1", "child": "x", "state": "Starting", "since": ago(20), "message": "loading: weights"},),
)


def decision(*events: RunEvent) -> Decision:
    return Decision(status=RUN.status, events=events)


def drawn(run: SelfRewardRun) -> list[str]:
    console = Console(file=io.StringIO(), width=120)
    display = LiveDisplay(console, clock=lambda: NOW)
    display.looked(run, Observed(), decision())
    console.print(display._live.renderable)
    file = console.file
    assert isinstance(file, io.StringIO)
    return [" ".join(line.split()) for line in file.getvalue().splitlines()]


def test_the_live_display_shows_the_graph_and_why_it_waits() -> None:
    heading, prompts, respond, judge, pairs, server = drawn(RUN)
    assert heading == "demo Iterating 2m05s"
    assert prompts == "✔ prompts-1 1m00s 64 prompts, 80% of 80 accepted"
    assert respond.endswith("48/64 prompts")
    assert re.search(r"respond-1 1m30s ━+", respond)
    assert judge == "· judge-1 again in 40s: the server hung up"
    assert pairs == "· pairs-1"
    assert server == "server of m1 Starting 20s loading: weights"


def test_a_past_and_a_far_iteration_are_one_line() -> None:
    """Ten iterations must fit on a screen."""
    done = row("pairs-1", "Succeeded", finishedAt=ago(60))
    run = run_with(done)
    later = RunStatus.model_validate(
        {
            "startedAt": ago(125),
            "iterations": [
                {"number": 1, "steps": [done]},
                {"number": 2, "steps": [row("prompts-2", "Running")]},
                {"number": 3, "steps": [row("prompts-3", "Waiting", attempt=0, startedAt=None)]},
            ],
        }
    )
    _, first, second, third = drawn(run.model_copy(update={"status": later}))
    assert first == "✔ iteration 1 30s 1 steps"
    assert "prompts-2" in second
    assert third == "· iteration 3 1 steps"


def test_plain_lines_are_one_an_event_and_one_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    display = PlainDisplay()
    started = RunEvent(EventReason.STEP_STARTED, "respond-1, attempt 1")
    display.looked(RUN, Observed(), decision(started))
    first = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[2] for line in first] == [
        "step started: respond-1, attempt 1",
        "respond-1: 48/64 prompts",
        "server of m1: loading: weights",
    ]
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in first)
    display.looked(RUN, Observed(), decision())
    assert capsys.readouterr().out == "", "nothing new within ten seconds"


def test_a_success_comes_with_its_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    event = RunEvent(EventReason.STEP_SUCCEEDED, "prompts-1: iteration-1/prompts committed")
    PlainDisplay().looked(RUN, Observed(), decision(event))
    assert "prompts committed  64 prompts, 80% of 80 accepted" in capsys.readouterr().out


def test_a_store_out_of_reach_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    display = PlainDisplay()
    for _ in range(3):
        display.store_unavailable(InfrastructureError("StoreUnavailable", "s3://bucket: 503"))
    assert capsys.readouterr().out.count("StoreUnavailable: s3://bucket: 503") == 1


def test_the_table_of_steps() -> None:
    console = Console(file=io.StringIO(), width=120)
    console.print(step_table(RUN))
    file = console.file
    assert isinstance(file, io.StringIO)
    lines = [" ".join(line.split()) for line in file.getvalue().splitlines() if line.strip()]
    assert lines[0] == "step state attempt time what it did"
    assert lines[2:] == [
        "prompts-1 Succeeded 1 1m00s 64 prompts, 80% of 80 accepted",
        "respond-1 Running 1 48/64 prompts",
        "judge-1 Waiting 1 the server hung up",
        "pairs-1 Waiting",
    ]
