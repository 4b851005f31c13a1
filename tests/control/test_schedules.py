"""Random schedules: 10 to 20 % of all calls and watch events go wrong, each seed in its own way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from control.bench import bench, outputs, rows, small_manifest
from selfreward.api import Phase

SCHEDULES = 500
_undisturbed: dict[str, str] = {}


def manifest(folder: Path) -> dict[str, Any]:
    return small_manifest(folder, serving={"generationShards": 1})


async def undisturbed(folder: Path) -> dict[str, str]:
    """What the run commits when nothing goes wrong."""
    if not _undisturbed:
        folder.mkdir()
        async with bench(folder) as made:
            made.cluster.create(manifest(folder))
            made.start()
            _undisturbed.update(outputs(await made.finished()))
    return _undisturbed


@pytest.mark.parametrize("seed", range(SCHEDULES))
async def test_a_bad_network(tmp_path: Path, seed: int) -> None:
    commits = await undisturbed(tmp_path / "undisturbed")
    async with bench(tmp_path) as made:
        made.cluster.faults.at_random(seed, rate=0.1 + 0.1 * seed / SCHEDULES)
        made.cluster.create(manifest(tmp_path))
        made.start()
        status = await made.finished(timeout=4 * 3600)
        made.cluster.faults.clear()
        await made.cluster.idle(90)
        made.check()
    assert status.phase is Phase.SUCCEEDED
    assert {row.attempt for row in rows(status).values()} == {1}
    assert outputs(status) == commits
