"""The command `selfreward plan` as the user gives it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from selfreward.cli.options import OUTPUT, PRESET, SET


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@SET
@PRESET
@click.option(
    "--gpu",
    metavar="h200|h100|a100-80g|l40s|…",
    help="The GPU; without it, the one that workloads.training.nodeSelector or this machine names.",
)
@click.option(
    "--gpus", type=click.IntRange(min=1), help="How many; without it, this machine's, or as few as the run needs."
)
@click.option(
    "--cluster", "for_cluster", is_flag=True, help="As on a cluster, where engines are kept only if the file asks."
)
@click.option(
    "--model",
    metavar="SIZE|FILE",
    help="Where nothing on this machine tells the model's size: that, such as 8B, or its config.json, which says more.",
)
@click.option(
    "--lengths",
    default="0.3:0.7",
    show_default=True,
    metavar="LOW:HIGH",
    help="Mean length of answers and judgements, as a share of their maxTokens: for the low and the high estimate.",
)
@click.option(
    "--prompt-tokens", type=click.IntRange(min=1), default=100, show_default=True, help="Mean length of a prompt."
)
@click.option(
    "--instructions", type=click.IntRange(min=0), help="Rows of seedData.instructions, where no file here tells."
)
@click.option("--rankings", type=click.IntRange(min=0), help="Prompts of seedData.rankings, likewise.")
@OUTPUT
def plan(file: Path, overrides: tuple[str, ...], presets: tuple[str, ...], output: str, **asked: object) -> None:
    """What the run in FILE will take, step by step, before a GPU is spent: requests, tokens, time, GPU-hours, memory
    and disk, as a low and a high estimate.

    Exit code 0; 64 where the run cannot fit on the hardware.
    """
    from selfreward.cli.planning.planning import Asked, show_plan

    sys.exit(show_plan(file, overrides, presets, Asked(**asked), output))  # type: ignore[arg-type]
