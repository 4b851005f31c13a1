"""Random schedules: 10 to 20 % of all calls and watch events go wrong, each seed in its own way.

`SCHEDULES=500:10000 pytest tests/control/test_schedules.py` tries these seeds.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from control.bench import bench, end_of, outputs, rows, small_manifest
from selfreward.api import Phase

SCHEDULES = 500
FIRST, _, LAST = os.environ.get("SCHEDULES", f"0:{SCHEDULES}").partition(":")


EVERY = 20
"""One in so many runs keeps its engines, and serves two models: it takes twice as long."""


def manifest(folder: Path, seed: int = 1) -> dict[str, Any]:
    serving: dict[str, Any] = {"generationShards": 1}
    # In one of some thousand schedules no request to create a step's child succeeds for five minutes.
    deadlines = {"step": 1000, "start": 3600, "serving": 300, "progress": 200}
    if seed % EVERY:
        return small_manifest(folder, serving=serving, deadlines=deadlines)
    serving |= {"keep": "awake"} if seed % (2 * EVERY) else {"deviceClassName": "gpu.example.com"}
    return small_manifest(folder, serving=serving, deadlines=deadlines, iterations=2, workloads={})


@pytest.mark.parametrize("seed", range(int(FIRST), int(LAST)))
async def test_a_bad_network(tmp_path: Path, seed: int) -> None:
    is_kept = not seed % EVERY
    undisturbed = await end_of(f"shortest, kept: {is_kept}", tmp_path, lambda home: manifest(home, seed))
    async with bench(tmp_path) as made:
        made.cluster.faults.at_random(seed, rate=0.1 + 0.1 * (seed % SCHEDULES) / SCHEDULES)
        made.cluster.create(manifest(tmp_path, seed))
        made.start()
        status = await made.finished(timeout=4 * 3600)
        made.cluster.faults.clear()
        await made.cluster.idle(90)
        made.check()
    assert status.phase is Phase.SUCCEEDED
    assert {key: row for key, row in rows(status).items() if row.attempt != 1} == {}
    assert outputs(status) == undisturbed.commits
