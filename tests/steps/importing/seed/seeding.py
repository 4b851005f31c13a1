"""Importing one dataset the way the import step does, without a process: what seed tests share."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.contract import ImportConfig
from selfreward_steps.importing.seed.datasets import import_seed
from selfreward_steps.importing.sources import Place

FIELD = {role: f"seedData.{role}" for role in ("instructions", "rankings", "eft")} | {"prompts": "prompts.source"}


def config_of(sources: Mapping[str, Mapping[str, Any]], **fields: Any) -> ImportConfig:
    """An import of the datasets in `sources`, by role."""
    data = {role: source for role, source in sources.items() if role != "prompts"}
    prompts = {"promptsSource": {"source": sources["prompts"]}} if "prompts" in sources else {}
    whole = {"run": "demo", "store": {"uri": "file:///nowhere"}, "output": "seed", "models": [], "seedData": data}
    return ImportConfig.model_validate({**whole, **prompts, **fields})


def seed(
    tmp_path: Path, sources: Mapping[str, Mapping[str, Any]], **fields: Any
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
    """The rows of each file that the import writes, and the manifest's metadata."""
    folder = tmp_path / "seed"
    place = Place(tmp_path / "scratch", ProgressReporter(enabled=False))
    metadata: dict[str, Any] = dict(import_seed(config_of(sources, **fields), place, folder, {}))
    rows = {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in folder.iterdir()}
    return rows, metadata


def write(path: Path, rows: list[Any]) -> dict[str, str]:
    """A JSONL file of `rows`; returns its source."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"uri": path.as_uri()}
