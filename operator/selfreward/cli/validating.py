"""`selfreward validate`, and the checks that `selfreward run` makes before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from selfreward.api import SelfRewardRun
from selfreward.api.load import RunInvalid, load_run
from selfreward.cli.errors import CommandError
from selfreward.cli.preflight import missing
from selfreward.cli.presets import preset_files
from selfreward.plan import build_graph


def loaded(path: Path, overrides: Sequence[str], presets: Sequence[str] = ()) -> SelfRewardRun:
    """The run in the file, with presets over it, if all that can be checked at once is right; raises CommandError."""
    try:
        run = load_run(path, overrides, preset_files(presets))
    except RunInvalid as error:
        raise CommandError(error.problems) from error
    problems = [f"{path}: {problem}" for problem in missing(run.spec)]
    if problems:
        raise CommandError(problems)
    return run


def validate_file(path: Path, overrides: Sequence[str], presets: Sequence[str] = ()) -> str:
    """One line that says what the run would be; raises CommandError with one line a problem."""
    run = loaded(path, overrides, presets)
    steps = build_graph(run.spec).nodes
    iterations = f"{run.spec.iterations} iteration{'s' if run.spec.iterations > 1 else ''}"
    return f"{path}: run {run.metadata.name} is valid: {iterations}, {len(steps)} steps"
