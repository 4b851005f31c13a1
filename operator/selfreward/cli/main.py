"""The entry point: all commands, and the one place where an error becomes lines and an exit code.

Commands import what they need when they run, so that `--help` and `validate` are quick.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from selfreward.cli.displays.terminal import echo
from selfreward.cli.errors import INTERRUPTED, USAGE, CommandError
from selfreward.cli.options import NAME, PRESET, SET, STORE, WORKDIR, place
from selfreward.cli.place import Place
from selfreward.cli.planning.command import plan
from selfreward.cli.steering import STEERING
from selfreward.cli.watching import WATCHING

_FILE = click.argument("file", type=click.Path(path_type=Path))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="selfreward")
def cli() -> None:
    """Self-Rewarding Language Models, on one machine or on Kubernetes."""


@cli.command()
@_FILE
@WORKDIR
@SET
@PRESET
@click.option("--plain", is_flag=True, help="Lines instead of a live display, as when output is no terminal.")
def run(file: Path, workdir: Path, overrides: tuple[str, ...], presets: tuple[str, ...], plain: bool) -> None:
    """Walk the run in FILE on this machine. The same command resumes after Ctrl-C, kill or a failure."""
    from selfreward.cli.running import run_file

    sys.exit(run_file(file, workdir, overrides, presets=presets, plain=plain))


@cli.command()
@_FILE
@SET
@PRESET
@click.option(
    "--cluster",
    "for_cluster",
    is_flag=True,
    help="As for kubectl apply: files, packages and Secrets need not be on this machine.",
)
def validate(file: Path, overrides: tuple[str, ...], presets: tuple[str, ...], for_cluster: bool) -> None:
    """Check FILE (`-` is standard input): its fields, what they mean together, and that the files and packages it names
    are there."""
    from selfreward.cli.validating import validate_file

    echo(validate_file(file, overrides, presets, for_cluster=for_cluster))


@cli.command()
@NAME
@WORKDIR
@STORE
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The HTML file; report.html in the run's folder otherwise.",
)
@click.option(
    "--candidates",
    type=click.IntRange(min=0),
    default=10_000,
    show_default=True,
    help="Most candidates whose texts the page carries; more are sampled evenly.",
)
@place
def report(name: str, workdir: Path, store: str | None, output: Path | None, candidates: int, place: Place) -> None:
    """Write one HTML file about RUN, finished or not: its models, evidence, cost, and a browser of candidates.

    RUN is the name or the file of a run of this machine, with -n, --context or -A the name of a run on the cluster, or
    what `kubectl get selfrewardrun NAME -o json` printed, as a file or through a pipe (`-`).
    """
    from selfreward.cli.reporting import write_report

    echo(str(write_report(name, workdir, place, store=store, output=output, candidates=candidates)))


@cli.command()
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@WORKDIR
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file instead of the terminal: .html (table and figure), .csv or .json.",
)
@place
def compare(names: tuple[str, ...], workdir: Path, output: Path | None, place: Place) -> None:
    """One table and one figure over several runs, each named as for `selfreward report`."""
    from selfreward.cli.comparing import compare_runs

    compare_runs(names, workdir, output, place)


for _command in (plan, *WATCHING, *STEERING):
    cli.add_command(_command)


def plugin() -> None:
    """Run it as `kubectl selfreward`: the same commands, about the cluster without being told."""
    main(plugin=True)


def main(*, plugin: bool = False) -> None:
    """Run the command line; ends the process."""
    try:
        cli.main(standalone_mode=False, obj=plugin)
    except CommandError as error:
        for line in error.lines:
            echo(line, err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        echo(f"selfreward: {error.format_message()}", err=True)
        sys.exit(USAGE)
    except BrokenPipeError:
        # `selfreward status | head`: whoever read has enough.
        sys.exit(0)


if __name__ == "__main__":
    main()
