"""The command `selfreward status`: the runs of a work directory, from their records, or those of a namespace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from rich import box
from rich.table import Table

from selfreward.api import SelfRewardRun
from selfreward.api.load import RunInvalid, load_run
from selfreward.cli.displays.outcome import step_table
from selfreward.cli.displays.terminal import Terminal, echo
from selfreward.cli.errors import CommandError
from selfreward.cluster.local.record import RecordUnreadable, RunFolder


def show_status(name: str | None, workdir: Path, namespace: str | None, output: str) -> None:
    """Print it; raises CommandError when there is no such run. With a namespace the cluster is asked."""
    runs = _found(name, workdir, namespace)
    if output == "table":
        _print_tables(runs, whole=name is not None)
        return
    documents: list[Any] = [run.model_dump(mode="json", by_alias=True, exclude_none=True) for run in runs]
    document = documents[0] if name is not None else documents
    text = json.dumps(document, indent=2) if output == "json" else yaml.safe_dump(document, sort_keys=False)
    echo(text)


def _found(name: str | None, workdir: Path, namespace: str | None) -> list[SelfRewardRun]:
    if namespace is not None:
        from selfreward.cli.cluster import read_runs

        return read_runs(name, namespace)
    return _recorded(workdir) if name is None else [_named(name, workdir)]


def _recorded(workdir: Path) -> list[SelfRewardRun]:
    found = [_load(RunFolder(workdir, path.parent.name)) for path in sorted(workdir.glob("*/status.json"))]
    runs = [run for run in found if run is not None]
    if not runs:
        raise CommandError([f"{workdir}: no run has been started here: selfreward run FILE --workdir {workdir}"])
    return runs


def _named(name: str, workdir: Path) -> SelfRewardRun:
    if name.endswith((".yaml", ".yml")):
        try:
            name = load_run(Path(name)).metadata.name
        except RunInvalid as error:
            raise CommandError(error.problems) from error
    run = _load(RunFolder(workdir, name))
    if run is None:
        raise CommandError([f"{name}: no such run in {workdir}: selfreward status lists those there are"])
    return run


def _load(folder: RunFolder) -> SelfRewardRun | None:
    try:
        return folder.load()
    except RecordUnreadable as error:
        raise CommandError([str(error)]) from error


def _print_tables(runs: list[SelfRewardRun], *, whole: bool) -> None:
    console = Terminal(piped_width=140)
    summary = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("run", "phase", "iteration", "step", "progress", "model", "pairs", "judge accuracy"):
        summary.add_column(heading)
    for run in runs:
        status = run.status
        summary.add_row(
            run.metadata.name,
            status.phase.value,
            f"{status.iteration}/{run.spec.iterations}",
            status.step,
            status.progress,
            status.model,
            "" if status.pairs is None else str(status.pairs),
            status.judge_accuracy,
        )
    console.print(summary)
    if whole:
        console.print(step_table(runs[0]))
