"""Asks the hub that HF_ENDPOINT names for each source on standard input, and prints what came or why not.

The hub's client reads its address when it is imported, so every hub needs a process of its own.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.contract import DataSource, ModelSource
from selfreward_steps.errors import StepError
from selfreward_steps.importing.hub import download_model
from selfreward_steps.importing.seed.reading import read_source
from selfreward_steps.importing.sources import Place


def ask(case: dict[str, Any], place: Place) -> Any:
    token = case.pop("token", None)
    try:
        if case["uri"].startswith("hf://datasets/"):
            rows = read_source(DataSource.model_validate(case), "seedData.eft", token, place)
            return [dict(row.values) for row in rows]
        path, commit = download_model(ModelSource.model_validate(case), "model", token, place)
        return [
            commit,
            sorted(found.name for found in path.iterdir() if found.is_file()) if path.is_dir() else path.name,
        ]
    except StepError as error:
        return f"{type(error).__name__} {error.reason} {error}"


if __name__ == "__main__":
    here = Place(Path(os.environ["HF_HOME"]) / "scratch", ProgressReporter(enabled=False))
    print(json.dumps([ask(case, here) for case in json.load(sys.stdin)]))
