"""The commands that look at runs, here and on a cluster, as the user gives them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from selfreward.cli.options import OUTPUT, WORKDIR, place
from selfreward.cli.place import Place


@click.command()
@click.argument("name", metavar="[RUN]", required=False)
@WORKDIR
@place
@OUTPUT
def status(name: str | None, workdir: Path, place: Place, output: str) -> None:
    """What RUN (a name, or a file on this machine) is doing, step by step; without RUN as `list`.

    Exit code 0: RUN goes on or has succeeded. 1: it has failed. 2: it is held (paused, suspended, waiting, stalled).
    """
    from selfreward.cli.showing import show_runs, show_status

    if name is None:
        show_runs(workdir, place, output)
    else:
        sys.exit(show_status(name, workdir, place, output))


@click.command("list")
@WORKDIR
@place
@OUTPUT
def list_runs(workdir: Path, place: Place, output: str) -> None:
    """The runs of this machine's work directory; of the cluster with -n, --context or -A."""
    from selfreward.cli.showing import show_runs

    show_runs(workdir, place, output)


WATCHING: Final = (status, list_runs)
