"""The command `selfreward logs`: what a step said in its newest attempt, every shard's words."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from selfreward.api import SelfRewardRun, StepStatus
from selfreward.cli.displays.terminal import echo
from selfreward.cli.displays.words import rows
from selfreward.cli.errors import FAILED, CommandError
from selfreward.cli.place import Place
from selfreward.cli.showing import named
from selfreward.cluster.local.record import RunFolder


def show_logs(name: str, step: str, workdir: Path, place: Place, tail: int) -> None:
    """Print the last lines of each shard. Raises CommandError where there is nothing to print."""
    run = named(name, workdir, place)
    row = _row(run, step)
    if place.is_cluster:
        from selfreward.cli.cluster.logs import read_logs

        found = read_logs(place, run, row, tail)
    else:
        found = dict(_local(RunFolder(workdir, run.metadata.name).path / "children" / (row.child or ""), tail))
    if not found:
        raise CommandError([f"{run.metadata.name}: {step}: no log is left of attempt {row.attempt}"], FAILED)
    for shard, lines in found.items():
        for line in lines:
            echo(f"{shard}: {line}" if len(found) > 1 else line)


def _row(run: SelfRewardRun, step: str) -> StepStatus:
    name, known = run.metadata.name, {row.key: row for row in rows(run.status)}
    if step not in known:
        raise CommandError([f"{name}: {step}: no such step (there are: {', '.join(known) or 'none yet'})"])
    if known[step].attempt == 0 or known[step].child is None:
        raise CommandError([f"{name}: {step}: has not started"], FAILED)
    return known[step]


def _local(folder: Path, tail: int) -> Iterator[tuple[str, list[str]]]:
    for path in sorted(folder.glob("*.log")):
        with path.open(encoding="utf-8", errors="replace") as file:
            yield path.stem, [line.rstrip("\n") for line in deque(file, tail)]
