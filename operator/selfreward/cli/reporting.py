"""The command `selfreward report`, and the page that `selfreward run` leaves at its end."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from selfreward_steps.errors import StepError
from selfreward_steps.store import Store

from selfreward.api import SelfRewardRun, StepState
from selfreward.cli.displays.terminal import echo
from selfreward.cli.displays.words import rows
from selfreward.cli.errors import FAILED, CommandError
from selfreward.cli.finding import found
from selfreward.cli.place import HERE, Place
from selfreward.cluster.local.record import RunFolder
from selfreward.report.page import render_report
from selfreward.report.reading import DEFAULT_CANDIDATES, read_report

PAGE = "report.html"


def write_report(
    reference: str,
    workdir: Path,
    place: Place = HERE,
    *,
    store: str | None,
    output: Path | None,
    candidates: int,
) -> Path:
    """Write the page; returns where. Raises CommandError."""
    named = found(reference, workdir, place)
    target = output or (named.folder / PAGE if named.folder else Path(f"{named.run.metadata.name}-{PAGE}"))
    try:
        return _written(named.run, named.open_store(store), target, candidates)
    except StepError as error:
        raise CommandError([f"{error.reason}: {error}"], FAILED) from error
    except OSError as error:
        raise CommandError([f"{error.filename or target}: {error.strerror}"], FAILED) from error


def page_at_the_end(run: SelfRewardRun, folder: RunFolder, store: Store) -> Path | None:
    """The page beside the run's record; None for a run that has done nothing worth a page.

    What goes wrong is told and no more: the run itself has ended, and the command can be given again.
    """
    if not any(row.state is StepState.SUCCEEDED for row in rows(run.status)):
        return None
    try:
        return _written(run, store, folder.path / PAGE, DEFAULT_CANDIDATES)
    except (StepError, OSError) as error:
        echo(f"no report was written: {error}: selfreward report {run.metadata.name} tries again", err=True)
        return None


def _written(run: SelfRewardRun, store: Store, target: Path, candidates: int) -> Path:
    now = datetime.now(UTC)
    page = render_report(read_report(run, store, now, candidates=candidates), now)
    # A page that somebody has open is replaced, not cut short.
    new = target.with_name(f".{target.name}.new")
    new.write_bytes(page)
    new.replace(target)
    return target
