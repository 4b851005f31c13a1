"""The commands `selfreward status` and `selfreward list`: the runs of a work directory, or those of a cluster."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich import box
from rich.table import Table
from rich.text import Text

from selfreward.api import SelfRewardRun
from selfreward.api.load import RunInvalid, load_run
from selfreward.cli.displays.outcome import step_table
from selfreward.cli.displays.terminal import Terminal, echo
from selfreward.cli.errors import CommandError
from selfreward.cli.place import Place
from selfreward.cli.standing import EXIT_CODES, Standing, reason, standing
from selfreward.cluster.local.record import RecordUnreadable, RunFolder


def show_status(name: str, workdir: Path, place: Place, output: str) -> int:
    """Print one run; returns the exit code that says how it stands. Raises CommandError when there is no such run."""
    run = named(name, workdir, place)
    stands = standing(run)
    if output != "table":
        echo(written(document_of(run), output))
        return EXIT_CODES[stands]
    console = Terminal(piped_width=140)
    console.print(_summary([run], everywhere=place.everywhere))
    console.print(step_table(run))
    if stands is not Standing.GOING_ON and (words := reason(run)):
        console.print(f"{stands.value}: {words}", markup=False, soft_wrap=True)
    return EXIT_CODES[stands]


def show_runs(workdir: Path, place: Place, output: str) -> None:
    """Print all runs, none of which is no error."""
    runs = _on_cluster(place) if place.is_cluster else _recorded(workdir)
    if output != "table":
        echo(written([document_of(run) for run in runs], output))
    elif runs:
        terminal = Terminal(piped_width=140)
        terminal.print(_summary(runs, everywhere=place.everywhere))
    else:
        where = "this cluster's namespace (-n names another, -A all)" if place.is_cluster else f"{workdir} (--workdir)"
        echo(f"no runs in {where}", err=True)


def named(name: str, workdir: Path, place: Place) -> SelfRewardRun:
    """The run of that name, or of that file. Raises CommandError."""
    if name.endswith((".yaml", ".yml")):
        try:
            name = load_run(Path(name)).metadata.name
        except RunInvalid as error:
            raise CommandError(error.problems) from error
    if place.is_cluster:
        from selfreward.cli.cluster.asking import read_run

        return read_run(place, name)
    run = _load(RunFolder(workdir, name))
    if run is None:
        raise CommandError([f"{name}: no such run in {workdir}: selfreward list shows those there are"])
    return run


def _on_cluster(place: Place) -> list[SelfRewardRun]:
    from selfreward.cli.cluster.asking import read_runs

    return read_runs(place)


def _recorded(workdir: Path) -> list[SelfRewardRun]:
    found = [_load(RunFolder(workdir, path.parent.name)) for path in sorted(workdir.glob("*/status.json"))]
    return [run for run in found if run is not None]


def _load(folder: RunFolder) -> SelfRewardRun | None:
    try:
        return folder.load()
    except RecordUnreadable as error:
        raise CommandError([str(error)]) from error


def document_of(run: SelfRewardRun) -> dict[str, Any]:
    """The resource, as the API server has it."""
    return run.model_dump(mode="json", by_alias=True, exclude_none=True)


def written(document: object, output: str) -> str:
    """The document as `--output` asks for it, `json` or `yaml`."""
    if output == "json":
        return json.dumps(document, indent=2, ensure_ascii=False)
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True).rstrip()


def _summary(runs: Sequence[SelfRewardRun], *, everywhere: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = ("run", "phase", "iteration", "step", "progress", "model", "pairs", "judge accuracy")
    for heading in (("namespace",) if everywhere else ()) + columns:
        table.add_column(heading)
    for run in runs:
        status = run.status
        cells = (
            run.metadata.name,
            status.phase.value,
            f"{status.iteration}/{run.spec.iterations}",
            status.step,
            status.progress,
            status.model,
            "" if status.pairs is None else str(status.pairs),
            status.judge_accuracy,
        )
        table.add_row(*map(Text, ((run.metadata.namespace,) if everywhere else ()) + cells))
    return table
