"""The commands that steer a run on a cluster, as the user gives them; what each does is in :mod:`.cluster.runs`."""

from __future__ import annotations

import sys
from typing import Final

import click

from selfreward.api.printable import printable
from selfreward.cli.displays.terminal import echo
from selfreward.cli.errors import CommandError
from selfreward.cli.options import NAME, place
from selfreward.cli.place import Place


@click.command()
@NAME
@place
@click.option("--at-boundary", is_flag=True, help="Let running steps end; start none.")
def suspend(name: str, place: Place, at_boundary: bool) -> None:
    """Hold RUN on the cluster: its pods go, what is committed stays."""
    from selfreward.cli.cluster import runs

    echo(runs.suspend(place, name, at_boundary=at_boundary))


@click.command()
@NAME
@place
def resume(name: str, place: Place) -> None:
    """Let a suspended RUN on the cluster go on."""
    from selfreward.cli.cluster import runs

    echo(runs.resume(place, name))


@click.command()
@NAME
@place
def retry(name: str, place: Place) -> None:
    """Try a failed RUN on the cluster again, from its failed step."""
    from selfreward.cli.cluster import runs

    echo(runs.retry(place, name))


@click.command()
@NAME
@place
@click.option("--iteration", type=click.IntRange(min=1), help="The last iteration that may start; the next by default.")
def approve(name: str, place: Place, iteration: int | None) -> None:
    """Let the next iteration of RUN start, where spec.schedule.approval asks for it."""
    from selfreward.cli.cluster import runs

    echo(runs.approve(place, name, iteration))


@click.command()
@NAME
@place
def pause(name: str, place: Place) -> None:
    """Make the operator leave RUN alone; what runs goes on."""
    from selfreward.cli.cluster import runs

    echo(runs.pause(place, name, paused=True))


@click.command()
@NAME
@place
def unpause(name: str, place: Place) -> None:
    """Make the operator look after RUN again."""
    from selfreward.cli.cluster import runs

    echo(runs.pause(place, name, paused=False))


@click.command()
@NAME
@place
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def cancel(name: str, place: Place, yes: bool) -> None:
    """End RUN on the cluster for good: the resource and its pods are deleted. `suspend` frees its GPUs and keeps it."""
    from selfreward.cli.cluster import runs

    if not yes and not sys.stdin.isatty():
        raise CommandError([f"cancel {name}: nobody can be asked: --yes says that you mean it"])
    echo(runs.cancel(place, name, lambda words: yes or click.confirm(printable(words))))


STEERING: Final = (suspend, resume, retry, approve, pause, unpause, cancel)
