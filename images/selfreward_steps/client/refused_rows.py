"""The rows of a step that the server did not take: told on standard error, and kept beside what was answered."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from selfreward_steps.rows import RefusedRow, read_rows, write_rows

FILE: Final = "refused.jsonl"
_TOLD: Final = 10
"""Rows told by name; all of them are in the file."""


def write_refused(folder: Path, rows: Iterable[RefusedRow], *, before: Iterable[RefusedRow] = ()) -> None:
    """Write `refused.jsonl` into `folder`, if there is any row, and say so.

    `before` are the rows of the step's first part, which has told of them.
    """
    refused = list(rows)
    for row in refused[:_TOLD]:
        print(f"left out, since the server refused it: {row['id']}: {row['why']}", file=sys.stderr)
    if len(refused) > _TOLD:
        print(f"left out for such reasons: {len(refused) - _TOLD} more, all in {FILE}", file=sys.stderr)
    path = folder / FILE
    if not write_rows(path, [*before, *refused]):
        path.unlink()


def read_refused(folder: Path) -> list[RefusedRow]:
    """The rows of `refused.jsonl` in `folder`; none where there is no such file."""
    path = folder / FILE
    return list(read_rows(path, RefusedRow)) if path.exists() else []
