"""The commands that look at runs, here and on a cluster, as the user gives them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from selfreward.cli.displays.terminal import echo
from selfreward.cli.options import NAME, OUTPUT, WORKDIR, place
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


@click.command()
@NAME
@WORKDIR
@place
@click.option(
    "--for", "goal", default="finished", show_default=True, metavar="finished|step=KEY|phase=P|condition=TYPE"
)
@click.option("--timeout", default="", metavar="TIME", help="Such as 90s, 30m or 12h; for ever otherwise.")
def wait(name: str, workdir: Path, place: Place, goal: str, timeout: str) -> None:
    """Wait until RUN has finished, or what --for says has come true (`step=dpo-1`: that step has succeeded).

    Exit code 0: it has. 1: the run has failed, or ended without it. 2: it is held, and nothing comes before somebody
    acts. 124: the time is over.
    """
    from selfreward.cli.waiting import wait_for

    sys.exit(wait_for(name, workdir, place, goal, timeout))


@click.command()
@NAME
@click.argument("step")
@WORKDIR
@place
@click.option("--tail", type=click.IntRange(min=1), default=1000, show_default=True, help="Lines of each shard.")
def logs(name: str, step: str, workdir: Path, place: Place, tail: int) -> None:
    """The log of STEP (such as `judge-1`) of RUN: of its newest attempt, every shard's, each line after its shard."""
    from selfreward.cli.logs import show_logs

    show_logs(name, step, workdir, place, tail)


@click.command()
@NAME
@WORKDIR
@place
@OUTPUT
def cost(name: str, workdir: Path, place: Place, output: str) -> None:
    """What RUN has cost so far: time, GPU-hours and tokens by step."""
    from selfreward.cli.costing import show_cost

    show_cost(name, workdir, place, output)


@click.command()
@NAME
@WORKDIR
@place
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="The archive; RUN-bundle.tar.gz otherwise."
)
def bundle(name: str, workdir: Path, place: Place, output: Path | None) -> None:
    """Write one archive with what a maintainer needs of RUN: spec, status, objects, events, logs, versions.

    Secrets are removed: values of variables, and what is or looks like a key, a token or a password.
    """
    from selfreward.cli.bundle.bundling import write_bundle

    echo(str(write_bundle(name, workdir, place, output)))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL: `source <(selfreward completion bash)`."""
    from click.shell_completion import get_completion_class

    context = click.get_current_context().find_root()
    kind = get_completion_class(shell)
    assert kind is not None, shell
    echo(kind(context.command, {}, "selfreward", "_SELFREWARD_COMPLETE").source())


WATCHING: Final = (status, list_runs, wait, logs, cost, bundle, completion)
