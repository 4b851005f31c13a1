"""The entry point: all commands, and the one place where an error becomes lines and an exit code.

Commands import what they need when they run, so that `--help` and `validate` are quick.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from selfreward.cli.displays.terminal import echo
from selfreward.cli.errors import INTERRUPTED, USAGE, CommandError

_FILE = click.argument("file", type=click.Path(path_type=Path))
_SET = click.option(
    "--set", "overrides", multiple=True, metavar="spec.FIELD=VALUE", help="Change one field of the file; repeatable."
)
_PRESET = click.option(
    "--preset",
    "presets",
    multiple=True,
    metavar="NAME|FILE",
    help="Lay a preset, or a patch of your own, over the file; its name is added to the run's. Repeatable.",
)
_WORKDIR = click.option(
    "--workdir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Where runs keep their status, logs and artifacts.",
)
_NAME = click.argument("name")
_NAMESPACE = click.option("-n", "--namespace", help="Namespace of the run; the kubeconfig's otherwise.")

_STORE = click.option(
    "--store", metavar="URI", help="Where the run's own artifacts lie, if not where its spec says: file:///… or s3://…"
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="selfreward")
def cli() -> None:
    """Self-Rewarding Language Models, on one machine or on Kubernetes."""


@cli.command()
@_FILE
@_WORKDIR
@_SET
@_PRESET
@click.option("--plain", is_flag=True, help="Lines instead of a live display, as when output is no terminal.")
def run(file: Path, workdir: Path, overrides: tuple[str, ...], presets: tuple[str, ...], plain: bool) -> None:
    """Walk the run in FILE on this machine. The same command resumes after Ctrl-C, kill or a failure."""
    from selfreward.cli.running import run_file

    sys.exit(run_file(file, workdir, overrides, presets=presets, plain=plain))


@cli.command()
@_FILE
@_SET
@_PRESET
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
@click.argument("name", required=False)
@_WORKDIR
@click.option("-n", "--namespace", help="Ask the cluster of the kubeconfig instead, about runs in this namespace.")
@click.option("-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True)
def status(name: str | None, workdir: Path, namespace: str | None, output: str) -> None:
    """What the runs of this machine are doing: all of them, or the one of NAME (a run's name or its file)."""
    from selfreward.cli.showing import show_status

    show_status(name, workdir, namespace, output)


@cli.command()
@_NAME
@_NAMESPACE
@click.option("--at-boundary", is_flag=True, help="Let running steps end; start none.")
def suspend(name: str, namespace: str | None, at_boundary: bool) -> None:
    """Hold run NAME on the cluster: its pods go, what is committed stays."""
    from selfreward.cli import cluster

    echo(cluster.suspend(name, namespace, at_boundary=at_boundary))


@cli.command()
@_NAME
@_NAMESPACE
def resume(name: str, namespace: str | None) -> None:
    """Let a suspended run NAME on the cluster go on."""
    from selfreward.cli import cluster

    echo(cluster.resume(name, namespace))


@cli.command()
@_NAME
@_NAMESPACE
def retry(name: str, namespace: str | None) -> None:
    """Try a failed run NAME on the cluster again, from its failed step."""
    from selfreward.cli import cluster

    echo(cluster.retry(name, namespace))


@cli.command()
@_NAME
@_NAMESPACE
@click.option("--iteration", type=click.IntRange(min=1), help="The last iteration that may start; the next by default.")
def approve(name: str, namespace: str | None, iteration: int | None) -> None:
    """Let the next iteration of run NAME start, where spec.schedule.approval asks for it."""
    from selfreward.cli import cluster

    echo(cluster.approve(name, namespace, iteration))


@cli.command()
@_NAME
@_NAMESPACE
def pause(name: str, namespace: str | None) -> None:
    """Make the operator leave run NAME alone; what runs goes on."""
    from selfreward.cli import cluster

    echo(cluster.pause(name, namespace, paused=True))


@cli.command()
@_NAME
@_NAMESPACE
def unpause(name: str, namespace: str | None) -> None:
    """Make the operator look after run NAME again."""
    from selfreward.cli import cluster

    echo(cluster.pause(name, namespace, paused=False))


@cli.command()
@click.argument("name", metavar="RUN")
@_WORKDIR
@_STORE
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
def report(name: str, workdir: Path, store: str | None, output: Path | None, candidates: int) -> None:
    """Write one HTML file about RUN, finished or not: its models, evidence, cost, and a browser of candidates.

    RUN is the name or the file of a run of this machine, or what `kubectl get selfrewardrun NAME -o json` printed, as a
    file or through a pipe (`-`).
    """
    from selfreward.cli.reporting import write_report

    echo(str(write_report(name, workdir, store=store, output=output, candidates=candidates)))


@cli.command()
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@_WORKDIR
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file instead of the terminal: .html (table and figure), .csv or .json.",
)
def compare(names: tuple[str, ...], workdir: Path, output: Path | None) -> None:
    """One table and one figure over several runs, each named as for `selfreward report`."""
    from selfreward.cli.comparing import compare_runs

    compare_runs(names, workdir, output)


def main() -> None:
    """Run the command line; ends the process."""
    try:
        cli.main(standalone_mode=False)
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
