"""The command `selfreward cost`: GPU-hours by step, reckoned from the status alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from selfreward.cli.displays.terminal import Terminal, echo
from selfreward.cli.finding import found
from selfreward.cli.place import Place
from selfreward.cli.showing import written
from selfreward.report.model import StepReport
from selfreward.report.reading import step_reports
from selfreward.report.words import duration


def show_cost(reference: str, workdir: Path, place: Place, output: str) -> None:
    """Print it; raises CommandError when there is no such run."""
    steps = [step for step in step_reports(found(reference, workdir, place).run, datetime.now(UTC)) if step.seconds]
    if output == "table":
        terminal = Terminal(piped_width=100)
        terminal.print(_table(steps))
        return
    echo(written(_document(steps), output))


def _document(steps: Sequence[StepReport]) -> dict[str, Any]:
    rows = [
        {
            "step": step.key,
            "seconds": round(step.seconds or 0, 1),
            "gpuHours": round((step.gpu_seconds or 0) / 3600, 4),
            "completionTokens": int(step.tokens or 0),
        }
        for step in steps
    ]
    return {"gpuHours": round(sum(step.gpu_seconds or 0 for step in steps) / 3600, 4), "steps": rows}


def _table(steps: Sequence[StepReport]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=True)
    tokens = sum(int(step.tokens or 0) for step in steps)
    hours = sum(step.gpu_seconds or 0 for step in steps) / 3600
    table.add_column("step", footer="all")
    table.add_column("time", justify="right")
    table.add_column("GPU-hours", justify="right", footer=f"{hours:.2f}")
    table.add_column("tokens written", justify="right", footer=f"{tokens:,}" if tokens else "")
    for step in steps:
        time = duration(timedelta(seconds=step.seconds or 0))
        written = f"{int(step.tokens):,}" if step.tokens else ""
        table.add_row(step.key, time, f"{(step.gpu_seconds or 0) / 3600:.2f}", written)
    return table
