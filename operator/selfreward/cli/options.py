"""The options that several commands take, each with one name and one meaning everywhere."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from selfreward.cli.place import Place

Command = Callable[..., Any]

NAME = click.argument("name", metavar="RUN")
WORKDIR = click.option(
    "--workdir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Where runs keep their status, logs and artifacts.",
)
STORE = click.option(
    "--store", metavar="URI", help="Where the run's own artifacts lie, if not where its spec says: file:///… or s3://…"
)
SET = click.option(
    "--set", "overrides", multiple=True, metavar="spec.FIELD=VALUE", help="Change one field of the file; repeatable."
)
PRESET = click.option(
    "--preset",
    "presets",
    multiple=True,
    metavar="NAME|FILE",
    help="Lay a preset, or a patch of your own, over the file; its name is added to the run's. Repeatable.",
)
OUTPUT = click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True
)


def place(command: Command) -> Command:
    """Adds `-n`, `--context` and `-A`, given to the command as `place`."""

    @click.option("-n", "--namespace", help="Of the cluster; the context's own otherwise.")
    @click.option("--context", help="Context of the kubeconfig; its current one otherwise.")
    @click.option(
        "-A", "--all-namespaces", "everywhere", is_flag=True, help="Look in all namespaces; a name must be in one only."
    )
    @functools.wraps(command)
    def placed(*arguments: Any, namespace: str | None, context: str | None, everywhere: bool, **others: Any) -> Any:
        plugin = bool(click.get_current_context().obj)
        return command(*arguments, place=Place(namespace, context, everywhere, plugin), **others)

    return placed
