"""The command `selfreward compare`: several runs in one table, on the terminal or in a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text
from selfreward_steps.errors import StepError

from selfreward.cli.displays.terminal import Terminal, echo
from selfreward.cli.errors import FAILED, CommandError
from selfreward.cli.finding import found
from selfreward.cli.place import HERE, Place
from selfreward.report import comparison, figures
from selfreward.report.model import RunReport
from selfreward.report.page import render_comparison
from selfreward.report.reading import read_report

_KINDS = (".html", ".csv", ".json")
_WORDS = ("run", "model")
"""Columns of words; all others are numbers."""


def compare_runs(references: Sequence[str], workdir: Path, output: Path | None, place: Place = HERE) -> None:
    """Print the table, or write `output`, whose ending says how. Raises CommandError."""
    if output is not None and output.suffix not in _KINDS:
        raise CommandError([f"--output {output}: must end in {', '.join(_KINDS[:-1])} or {_KINDS[-1]}"])
    now = datetime.now(UTC)
    reports = [_report(reference, workdir, place, now) for reference in references]
    if output is None:
        _print(reports)
        return
    try:
        output.write_bytes(_document(reports, output.suffix, now))
    except OSError as error:
        raise CommandError([f"{error.filename or output}: {error.strerror}"], FAILED) from error
    echo(str(output))


def _report(reference: str, workdir: Path, place: Place, now: datetime) -> RunReport:
    named = found(reference, workdir, place)
    try:
        return read_report(named.run, named.open_store(), now, candidates=0)
    except StepError as error:
        raise CommandError([f"{reference}: {error.reason}: {error}"], FAILED) from error


def _document(reports: Sequence[RunReport], suffix: str, now: datetime) -> bytes:
    if suffix == ".html":
        return render_comparison(reports, now)
    rows = comparison.plain_rows(reports)
    if suffix == ".json":
        return (json.dumps(rows, indent=2, ensure_ascii=False) + "\n").encode()
    text = io.StringIO()
    writer = csv.DictWriter(text, comparison.COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _print(reports: Sequence[RunReport]) -> None:
    console = Terminal(piped_width=170)
    for table in (comparison.model_table(reports), comparison.differences(reports)):
        if table is not None:
            console.print(_drawn(table))
    for report in reports:
        for notice in report.notices:
            console.print(f"{report.name}: {notice}", style="yellow", markup=False)


def _drawn(table: figures.Table) -> Table:
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in table.headings:
        drawn.add_column(heading, justify="left" if heading in (*_WORDS, "") else "right")
    for row in table.rows:
        # A list in a spec would be taken for rich's markup.
        drawn.add_row(*map(Text, row))
    return drawn
