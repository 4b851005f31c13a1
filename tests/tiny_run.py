"""A whole run that takes a minute: a tiny real model, real training, and the scriptable server as its engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from selfreward_steps.store import Manifest

TESTS = Path(__file__).parent
DATA = TESTS.parent / "examples" / "quickstart" / "data"
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
"""For the runner and all it starts: one thread each, and no look at a hub that is not there."""


def spec(model: Path, *, delay: float = 0.0) -> dict[str, Any]:
    """One iteration through every step. `delay` is the server's, in seconds a request."""
    server = [sys.executable, str(TESTS / "steps" / "openai_server.py"), "--port", "$(SELFREWARD_PORT)"]
    training = {"batchSize": 2, "perDeviceBatchSize": 2, "maxLength": 96, "maxSteps": 5, "checkpointSteps": 1}
    return {
        "model": {"uri": model.as_uri()},
        "seedData": {
            name: {"uri": (DATA / f"{name}.jsonl").as_uri(), "limit": 8} for name in ("instructions", "rankings", "eft")
        },
        "iterations": 1,
        "prompts": {"count": 8, "sampling": {"maxTokens": 32}},
        "responses": {"sampling": {"maxTokens": 32}},
        "training": {"sft": training, "dpo": training},
        "evaluation": {"prompts": 2, "sampling": {"maxTokens": 32}},
        "serving": {
            "command": [*server, "--model", "$(SELFREWARD_MODEL_NAME)", "--delay", str(delay)],
            "concurrency": 2,
            "generationShards": 2,
        },
        "retry": {"backoffSeconds": 1},
    }


def write_run(folder: Path, name: str = "tiny", **changes: Any) -> Path:
    """`folder/run.yaml` with a model beside it; `changes` replace fields of the spec."""
    # torch takes seconds: only a test that makes a model pays for it.
    from steps.tiny_model import make_tiny_model

    model = folder / "model"
    if not model.exists():
        make_tiny_model(model)
    path = folder / "run.yaml"
    delay = changes.pop("delay", 0.0)
    path.write_text(yaml.safe_dump({"metadata": {"name": name}, "spec": spec(model, delay=delay) | changes}))
    return path


def start(run: Path, workdir: Path, *arguments: str) -> subprocess.Popen[str]:
    """`selfreward run` in the background, its output in WORKDIR.log."""
    workdir.parent.mkdir(parents=True, exist_ok=True)
    with workdir.with_suffix(".log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "selfreward.cli.main", "run", str(run), "--workdir", str(workdir), *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **ENVIRONMENT},
        )


def output(workdir: Path) -> str:
    """What every runner of the work directory has said so far."""
    return workdir.with_suffix(".log").read_text()


def rows(workdir: Path, name: str = "tiny") -> dict[str, dict[str, Any]]:
    """The recorded step rows by key; none before the first record."""
    try:
        document = json.loads((workdir / name / "status.json").read_text())
    except FileNotFoundError:
        return {}
    return {row["key"]: row for iteration in document["status"].get("iterations", []) for row in iteration["steps"]}


def servings(workdir: Path, name: str = "tiny") -> list[dict[str, Any]]:
    """The recorded servers."""
    try:
        document = json.loads((workdir / name / "status.json").read_text())
    except FileNotFoundError:
        return []
    return list(document["status"].get("servings", []))


def manifests(workdir: Path, name: str = "tiny") -> dict[str, bytes]:
    """The manifest of every committed artifact but checkpoints, byte for byte, by the artifact's name."""
    root = workdir / "artifacts" / "namespace=default" / name
    names = (str(folder.relative_to(root)) for folder in _committed(root))
    return {name: (root / name / "manifest.json").read_bytes() for name in names if not name.startswith("checkpoints/")}


def _committed(root: Path) -> Iterator[Path]:
    """The folders of committed artifacts; what is still being staged has a manifest too, and vanishes."""
    for folder, below, files in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]
        if "manifest.json" in files:
            yield Path(folder)


def is_checkpointed(workdir: Path, artifact: str, name: str = "tiny") -> bool:
    """Whether the training of a model has a resumable checkpoint in the store."""
    return any(_committed(workdir / "artifacts" / "namespace=default" / name / "checkpoints" / artifact))


def logs(workdir: Path, key: str, name: str = "tiny") -> str:
    """What the newest attempt at a step has printed so far, all shards together."""
    attempts = sorted((workdir / name / "children").glob(f"{name}-{key}-a*"), key=lambda path: path.stat().st_mtime)
    return "".join(log.read_text() for log in sorted(attempts[-1].glob("*.log"))) if attempts else ""


def digests(workdir: Path, name: str = "tiny") -> dict[str, str]:
    """Digest by committed artifact."""
    return {artifact: Manifest.from_json(text).digest for artifact, text in manifests(workdir, name).items()}
