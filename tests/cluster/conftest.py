"""Places and manifests for processes that are real and tiny."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from selfreward.cluster.local.child import Identity
from selfreward.cluster.local.manifests import Place
from selfreward.cluster.local.process import MARK
from selfreward.plan import ChildKind


def marked(mark: str) -> list[int]:
    """Pids of living processes that carry `mark`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A child's place; nothing that carries its mark may live when the test has ended."""
    folder = tmp_path / "child"
    folder.mkdir()
    yield Place(folder, tmp_path / "scratch", str(tmp_path), {"HOME": os.environ.get("HOME", "/")}, {}, {})
    assert marked(str(tmp_path)) == []


@pytest.fixture
def now() -> Callable[[], datetime]:
    return lambda: datetime.now(UTC)


def identity(kind: ChildKind = ChildKind.JOB) -> Identity:
    return Identity(
        name="child", uid=str(uuid.uuid4()), kind=kind, attempt=1, created_at=datetime.now(UTC), key="pairs-1"
    )


def job(script: str, *, shards: int | None = None, parallelism: int = 1, grace: float = 5) -> dict[str, Any]:
    """A Job of a Python script."""
    container = {"name": "step", "command": ["python3", "-c", script], "env": []}
    spec: dict[str, Any] = {
        "completions": shards or 1,
        "parallelism": parallelism,
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onPodConditions": []},
                {"action": "FailJob", "onExitCodes": {"containerName": "step", "operator": "In", "values": [64]}},
            ]
        },
        "template": {"spec": {"terminationGracePeriodSeconds": grace, "containers": [container]}},
    }
    if shards is not None:
        spec["completionMode"] = "Indexed"
    return {"kind": "Job", "spec": spec}
