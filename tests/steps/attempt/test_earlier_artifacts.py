"""Artifacts of an earlier version, committed in `earlier_artifacts`: a run goes on with them after an upgrade.

They were made by the steps `pairs` and `eft` of commit 9e6e911, whose steps were one folder of modules. Where a test
fails, a run that was begun before the change would make everything again, on GPUs: mend the change, not the files.

`pairs` has settings since then (`truncated`) and other statistics (exact intervals), so a `pairs` that is run again has
another digest; the pairs themselves must be the same.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from selfreward_steps.contract import StepResult
from selfreward_steps.store import Store, open_store

EARLIER = Path(__file__).with_name("earlier_artifacts")
PAIRS = ("pairs", "iteration-1/pairs", "sha256:d839077124c5914e9ee32c1ace8d502cc0dc321efccc29ea1ed95f5b3a1b0753")
EFT = ("eft", "eft", "sha256:6f310296e41f192f1f8fae7733ea32a265de8095a4620f7553c05fe711deac02")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(EARLIER / "store", tmp_path / "store")


@pytest.fixture
def store(folder: Path) -> Store:
    return open_store(folder.as_uri())


def run(step: str, folder: Path) -> StepResult:
    """`python -m selfreward_steps STEP` with the earlier configuration; it must succeed."""
    config = json.loads((EARLIER / f"{step}.json").read_text()) | {"store": {"uri": folder.as_uri()}}
    log = folder.with_name("termination-log")
    environment = {
        "PATH": os.environ["PATH"],
        "SELFREWARD_CONFIG": json.dumps(config),
        "SELFREWARD_SCRATCH": str(folder.with_name("scratch")),
        "SELFREWARD_TERMINATION_LOG": str(log),
    }
    command = [sys.executable, "-m", "selfreward_steps", step]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return StepResult.model_validate_json(log.read_bytes())


def test_a_step_finds_what_it_has_committed(folder: Path) -> None:
    step, artifact, digest = EFT
    result = run(step, folder)
    assert (result.reason, result.outputs) == ("AlreadyCommitted", {artifact: digest})


@pytest.mark.parametrize(("step", "artifact", "digest"), [PAIRS, EFT], ids=["pairs", "eft"])
def test_the_files_are_what_the_manifest_says(store: Store, step: str, artifact: str, digest: str) -> None:
    manifest = store.read_manifest(artifact)
    assert manifest is not None
    assert (manifest.step, manifest.digest) == (step, digest)
    assert store.verify(artifact) == []


def test_pairs_made_anew_are_the_same_pairs(folder: Path, store: Store) -> None:
    _, artifact, _ = PAIRS
    earlier = store.read_manifest(artifact)
    store.delete(artifact)
    assert run("pairs", folder).reason == "Committed"
    anew = store.read_manifest(artifact)
    assert earlier is not None
    assert anew is not None
    (before,), (after,) = ([file for file in each.files if file.name == "pairs.jsonl"] for each in (earlier, anew))
    assert after == before
