"""The outcome of a finished run on the terminal: its steps, a few samples, and where everything lies."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from selfreward_steps.contract import StepName, artifact_names
from selfreward_steps.contract.artifact_names import IterationArtifact
from selfreward_steps.store import Store

from selfreward.api import ConditionStatus, ConditionType, Reason, SelfRewardRun, StepState
from selfreward.cli.displays.samples import Sample, samples
from selfreward.cli.displays.terminal import Terminal
from selfreward.cli.displays.words import rows, took
from selfreward.plan import evaluation_key, model_artifact
from selfreward.report.highlights import highlights
from selfreward.report.words import duration


def print_report(run: SelfRewardRun, folder: Path, store: Store, page: Path | None) -> None:
    """Print it on standard output; `page` is where the report was written."""
    console = Terminal(piped_width=140)
    console.print(step_table(run))
    last = _last_round(run)
    for sample in samples(store, last, run.spec.serving.generation_shards) if last else ():
        _print_sample(console, sample)
    status = run.status
    for condition in status.conditions:
        if condition.type is ConditionType.GATE_TRIPPED and condition.status is ConditionStatus.TRUE:
            console.print(f"gates tripped: {condition.message}", style="yellow", markup=False, soft_wrap=True)
        if condition.reason == Reason.STOPPED_BY_GATE and condition.type is ConditionType.SUCCEEDED:
            console.print(condition.message, style="yellow", markup=False, soft_wrap=True)
    whole = duration(status.finished_at - status.started_at) if status.finished_at and status.started_at else ""
    console.print(f"run {run.metadata.name} succeeded{f' in {whole}' if whole else ''}", style="bold", markup=False)
    for name, place in _places(run, folder, store, page).items():
        console.print(f"{name:<8} {place}", markup=False, soft_wrap=True)


def _last_round(run: SelfRewardRun) -> int:
    """The last iteration that has pairs: not the last one of the spec where a gate has stopped the run."""
    done = (row.key for row in rows(run.status) if row.step is StepName.PAIRS and row.state is StepState.SUCCEEDED)
    return max((int(key.rpartition("-")[2]) for key in done), default=0)


def step_table(run: SelfRewardRun) -> Table:
    """One line a step: state, attempts, time, numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, justify in (("step", "left"), ("state", "left"), ("attempt", "right"), ("time", "right")):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("what it did")
    for row in rows(run.status):
        time = took(row, row.finished_at) if row.finished_at is not None else None
        so_far = f"{row.progress.done:,}/{row.progress.total or '?'} {row.progress.unit}" if row.progress else ""
        words = highlights(row.step, row.metrics) if row.state is StepState.SUCCEEDED else row.message or so_far
        table.add_row(
            row.key,
            row.state.value,
            str(row.attempt) if row.attempt else "",
            duration(time if time is not None else timedelta()) if row.finished_at else "",
            Text(words),
        )
    return table


def _print_sample(console: Console, sample: Sample) -> None:
    console.print(Text.assemble(("prompt     ", "bold"), sample.prompt))
    for candidate in sample.candidates:
        style = {"chosen": "green", "rejected": "red"}.get(candidate.role, "dim")
        score = "   -" if candidate.score is None else f"{candidate.score:4.2f}"
        console.print(Text.assemble((f"{candidate.role or 'candidate':<10} ", style), f"{score}  {candidate.text}"))
        if candidate.role and candidate.critique:
            console.print(Text.assemble((" " * 11 + "judge said  ", "dim"), (candidate.critique, "dim")))
    console.print()


def _places(run: SelfRewardRun, folder: Path, store: Store, page: Path | None) -> dict[str, str]:
    last = _last_round(run)
    done = {row.key for row in rows(run.status) if row.state is StepState.SUCCEEDED}
    places = {"model": store.address(run.status.model or model_artifact(run.spec, last + 1))}
    if last:
        pairs = artifact_names.of_iteration(last, IterationArtifact.PAIRS)
        places["pairs"] = f"{store.address(pairs)}/pairs.jsonl"
    if evaluation_key(last + 1) in done:
        places["metrics"] = f"{store.address(artifact_names.evaluation(last + 1))}/metrics.json"
    if page is not None:
        places["report"] = str(page)
    places["status"] = str(folder / "status.json")
    places["logs"] = str(folder / "children")
    return {name: _short(place) for name, place in places.items()}


def _short(place: str) -> str:
    """A path as one would type it here; an address in a bucket as it is."""
    if urlsplit(place).scheme not in ("", "file"):
        return place
    path = Path(unquote(urlsplit(place).path))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
