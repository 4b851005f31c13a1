"""Hostile runs beside a victim's: nothing of the victim is read, written or deleted for them, and nobody is held up.

`HOSTILE=5000 pytest tests/control/test_hostile.py` tries as many, from other seeds with `HOSTILE_FROM`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from control.bench import bench, small_manifest, status_of
from control.fence import Fence
from control.hostile import NAMESPACES, hostile
from kube import ApiError
from selfreward.api import Phase

BATCH = 20
"""Runs at the same time."""
FIRST = int(os.environ.get("HOSTILE_FROM", "0"))
COUNT = int(os.environ.get("HOSTILE", "60"))
GONE_SECONDS = 2 * 3600
"""A refused deletion is given up after an hour."""


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("seed", range(FIRST, FIRST + -(-COUNT // BATCH)))
async def test_hostile_runs_reach_nobody(tmp_path: Path, seed: int) -> None:
    async with bench(tmp_path, namespaces=sorted({*NAMESPACES, "research"})) as made:
        fence = Fence(made.cluster)
        fence.start(made)
        victim = made.cluster.create(small_manifest(tmp_path, "victim"))
        await made.finished("victim")
        artifacts, status = content(tmp_path / "store/namespace=default/victim"), status_of(made.cluster, "victim")
        accepted = 0
        manifests = hostile(seed, tmp_path, victim["metadata"]["uid"])
        made.cluster.create(small_manifest(tmp_path, "neighbour"))
        for _ in range(BATCH):
            try:
                made.cluster.create(next(manifests))
            except ApiError:
                continue
            accepted += 1
        neighbour = await made.finished("neighbour", timeout=1800)
        await made.cluster.idle(300)
        attackers = [run["metadata"] for run in made.cluster.list("SelfRewardRun") if _is_hostile(run["metadata"])]
        for each in attackers:
            made.cluster.delete("SelfRewardRun", each["name"], each["namespace"])
        await made.cluster.until(
            lambda: not any(_is_hostile(run["metadata"]) for run in made.cluster.peek("SelfRewardRun")), GONE_SECONDS
        )
        await made.cluster.idle(90)
        made.check()
        assert status_of(made.cluster, "victim") == status
    assert content(tmp_path / "store/namespace=default/victim") == artifacts
    assert neighbour.phase is Phase.SUCCEEDED
    assert fence.broken == []
    assert fence.checked > 100
    print(f"seed {seed}: {accepted} of {BATCH} accepted, {fence.checked} requests and store calls checked")


def _is_hostile(metadata: dict[str, str]) -> bool:
    return (metadata["namespace"], metadata["name"]) not in {("default", "victim"), ("default", "neighbour")}
