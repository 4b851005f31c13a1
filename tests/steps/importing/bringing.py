"""Importing one model the way the import step does, without a process: what model tests share."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.contract import ModelImport
from selfreward_steps.errors import PermanentError
from selfreward_steps.importing.model import Imported, import_model
from selfreward_steps.importing.sources import Place


def bring(path: Path, tmp_path: Path, **source: Any) -> Imported:
    item = ModelImport.model_validate({"source": {"uri": path.as_uri(), **source}, "output": "m0"})
    return import_model(item, "model", Place(tmp_path / "scratch", ProgressReporter(enabled=False)))


def refusal(path: Path, tmp_path: Path, reason: str, **source: Any) -> str:
    with pytest.raises(PermanentError) as caught:
        bring(path, tmp_path, **source)
    assert caught.value.reason == reason, str(caught.value)
    assert str(caught.value).startswith("model.")
    return str(caught.value)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change one JSON file in place."""
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))
