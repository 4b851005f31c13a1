"""Invariant 7: an operator killed after any write, restarted, ends where the undisturbed run ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from control.bench import bench, end_of, outputs, rows, run_manifest
from kube import Logged
from selfreward.api import Phase, RunStatus

STRIDE = 8
"""Kills of every eighth write, in eight runs that begin at another write each: every write of the run is once the
last that an operator did, and its successor has eight writes to show that it goes on. One run a write would take
twenty times as long and find no more: what a kill leaves behind is in the cluster, and is settled by the next look."""
ITERATIONS = 3


def long_manifest(folder: Path) -> dict[str, Any]:
    return run_manifest(folder, iterations=ITERATIONS)


def is_undisturbed(status: RunStatus) -> bool:
    """Whether every step succeeded in its first attempt: a killed operator costs no work."""
    return status.phase is Phase.SUCCEEDED and all(row.attempt == 1 for row in rows(status).values())


@pytest.mark.parametrize("first", range(1, STRIDE + 1))
async def test_killed_after_each_write(tmp_path: Path, first: int) -> None:
    writes = 0

    def fatal(_: Logged) -> bool:
        nonlocal writes
        writes += 1
        return writes % STRIDE == first % STRIDE

    async with bench(tmp_path) as made:
        made.cluster.create(long_manifest(tmp_path))
        made.kill_after(fatal)
        made.start()
        status = await made.finished()
        await made.cluster.idle(90)
        made.check()
    assert is_undisturbed(status)
    assert made.kills >= 10
    assert outputs(status) == (await end_of("long", tmp_path, long_manifest)).commits


async def test_killed_after_every_write(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.create(run_manifest(tmp_path))
        made.kill_after(lambda _: True)
        made.start()
        status = await made.finished()
    assert is_undisturbed(status)
    assert made.kills >= 50
    assert outputs(status) == (await end_of("whole", tmp_path, run_manifest)).commits


async def test_killed_after_every_commit(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.create(long_manifest(tmp_path))
        made.cluster.after_commit.append(lambda _: made.restart())
        made.start()
        status = await made.finished()
    assert is_undisturbed(status)
    assert made.kills >= 25
    assert outputs(status) == (await end_of("long", tmp_path, long_manifest)).commits
