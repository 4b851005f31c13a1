"""Invariant 7: an operator killed after any write, restarted, ends where the undisturbed run ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from control.bench import bench, outputs, rows, run_manifest, small_manifest
from kube import Logged
from selfreward.api import Phase, RunStatus

WRITES = 60
"""A little more than the shortest run takes, so that the last of them are no kill at all."""


def is_undisturbed(status: RunStatus) -> bool:
    """Whether every step succeeded in its first attempt: a killed operator costs no work."""
    return status.phase is Phase.SUCCEEDED and all(row.attempt == 1 for row in rows(status).values())


@pytest.mark.parametrize("nth", range(1, WRITES + 1))
async def test_killed_after_one_write(tmp_path: Path, nth: int) -> None:
    writes = 0

    def fatal(_: Logged) -> bool:
        nonlocal writes
        writes += 1
        return writes == nth

    async with bench(tmp_path) as made:
        made.cluster.create(small_manifest(tmp_path))
        made.kill_after(fatal)
        made.start()
        status = await made.finished()
    assert is_undisturbed(status)
    assert made.kills == (nth <= writes)


async def test_the_shortest_run_has_so_many_writes(tmp_path: Path) -> None:
    """Otherwise the test above would miss some."""
    async with bench(tmp_path) as made:
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        await made.finished()
        await made.cluster.idle(30)
        writes = [write for write in made.cluster.requests.writes() if write.committed]
    assert len(writes) <= WRITES, [f"{write.verb} {write.plural}" for write in writes]


async def test_killed_after_every_write(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.create(run_manifest(tmp_path))
        made.kill_after(lambda _: True)
        made.start()
        status = await made.finished()
        digests = outputs(status)
    assert is_undisturbed(status)
    assert made.kills >= 50
    assert digests == await _undisturbed(tmp_path / "again")


async def test_killed_after_every_commit(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.create(run_manifest(tmp_path))
        made.cluster.after_commit.append(lambda _: made.restart())
        made.start()
        status = await made.finished()
    assert is_undisturbed(status)
    assert made.kills >= 10


async def _undisturbed(folder: Path) -> dict[str, str]:
    folder.mkdir()
    async with bench(folder) as made:
        made.cluster.create(run_manifest(folder))
        made.start()
        return outputs(await made.finished())
