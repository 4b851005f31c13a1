"""Invariant 7: an operator killed after any write, restarted, ends where the undisturbed run ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from control.bench import bench, outputs, rows, run_manifest
from kube import Logged
from selfreward.api import Phase, RunStatus

STRIDE = 8
"""Kills of every eighth write, in eight runs that begin at another write each: every write of the run is once the
last that an operator did, and its successor has eight writes to show that it goes on. One run a write would take
twenty times as long and find no more: what a kill leaves behind is in the cluster, and is settled by the next look."""
ITERATIONS = 3
_ends: dict[str, dict[str, str]] = {}


def is_undisturbed(status: RunStatus) -> bool:
    """Whether every step succeeded in its first attempt: a killed operator costs no work."""
    return status.phase is Phase.SUCCEEDED and all(row.attempt == 1 for row in rows(status).values())


async def end_of(name: str, folder: Path, manifest: dict[str, Any]) -> dict[str, str]:
    """What the undisturbed run of that manifest commits: artifacts and their digests."""
    if name not in _ends:
        folder.mkdir()
        async with bench(folder) as made:
            made.cluster.create(manifest)
            made.start()
            _ends[name] = outputs(await made.finished())
    return _ends[name]


@pytest.mark.parametrize("first", range(1, STRIDE + 1))
async def test_killed_after_each_write(tmp_path: Path, first: int) -> None:
    writes = 0

    def fatal(_: Logged) -> bool:
        nonlocal writes
        writes += 1
        return writes % STRIDE == first % STRIDE

    async with bench(tmp_path) as made:
        made.cluster.create(run_manifest(tmp_path, iterations=ITERATIONS))
        made.kill_after(fatal)
        made.start()
        status = await made.finished()
        await made.cluster.idle(90)
        made.check()
    assert is_undisturbed(status)
    assert made.kills >= 10
    again = tmp_path / "again"
    assert outputs(status) == await end_of("long", again, run_manifest(again, iterations=ITERATIONS))


async def test_killed_after_every_write(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.create(run_manifest(tmp_path))
        made.kill_after(lambda _: True)
        made.start()
        status = await made.finished()
    assert is_undisturbed(status)
    assert made.kills >= 50
    again = tmp_path / "again"
    assert outputs(status) == await end_of("whole", again, run_manifest(again))


async def test_killed_after_every_commit(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.create(run_manifest(tmp_path, iterations=ITERATIONS))
        made.cluster.after_commit.append(lambda _: made.restart())
        made.start()
        status = await made.finished()
    assert is_undisturbed(status)
    assert made.kills >= 25
    again = tmp_path / "again"
    assert outputs(status) == await end_of("long", again, run_manifest(again, iterations=ITERATIONS))
