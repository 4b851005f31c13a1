"""SIGKILL at any moment loses nothing: the same command ends with what an undisturbed run ends with.

Every step is killed once, at moments that differ in what is on the disk by then; what was committed before a
kill must be the same bytes at the end, so that nothing was done twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cluster.conftest import marked
from tiny_run import digests, is_checkpointed, logs, manifests, output, rows, servings, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

OUTPUTS = {
    "import": "m0",
    "sft-baseline": "sft-baseline",
    "eft": "eft",
    "sft": "m1",
    "evaluate-sft-baseline": "evaluation/sft-baseline",
    "evaluate-m1": "evaluation/m1",
    "prompts-1": "iteration-1/prompts",
    "respond-1": "iteration-1/responses",
    "judge-1": "iteration-1/judgements",
    "pairs-1": "iteration-1/pairs",
    "dpo-1": "m2",
    "evaluate-m2": "evaluation/m2",
}
"""What each step commits."""
SHARDED = ("respond-1", "judge-1")


def is_committed(workdir: Path, key: str) -> bool:
    found = manifests(workdir)
    if key in SHARDED:
        return all(f"{OUTPUTS[key]}/shard-{shard:05d}" in found for shard in range(2))
    return OUTPUTS[key] in found


# Moments, each of which stays once it has come, so that a slow machine cannot miss it.


def intent_written(workdir: Path, key: str) -> bool:
    """The record names a child that may not exist yet."""
    return bool(rows(workdir).get(key, {}).get("attempt", 0) > 0)


def process_started(workdir: Path, key: str) -> bool:
    return any((workdir / "tiny" / "children").glob(f"tiny-{key}-a*/*.process.json"))


def work_done(workdir: Path, key: str) -> bool:
    """It has said that something is done: an answer, a judgement."""
    said = (json.loads(line) for line in logs(workdir, key).splitlines() if line.startswith('{"kind":"progress"'))
    return any(progress["done"] > 0 for progress in said)


def checkpointed(workdir: Path, key: str) -> bool:
    return is_checkpointed(workdir, OUTPUTS[key])


def shard_committed(workdir: Path, key: str) -> bool:
    return any(name.startswith(f"{OUTPUTS[key]}/") for name in manifests(workdir))


def committed(workdir: Path, key: str) -> bool:
    """The artifact is there; the record need not know it yet."""
    return is_committed(workdir, key)


def server_began(workdir: Path, model: str) -> bool:
    return any(serving["model"] == model for serving in servings(workdir))


KILLS: list[tuple[str, Callable[[Path, str], bool]]] = [
    ("import", intent_written),
    ("import", process_started),
    ("sft-baseline", checkpointed),
    ("sft-baseline", server_began),
    ("eft", work_done),
    ("evaluate-sft-baseline", process_started),
    ("sft", checkpointed),
    ("evaluate-m1", process_started),
    ("prompts-1", work_done),
    ("respond-1", work_done),
    ("judge-1", work_done),
    ("judge-1", shard_committed),
    ("pairs-1", process_started),
    ("pairs-1", committed),
    ("dpo-1", checkpointed),
    ("evaluate-m2", work_done),
]


def test_every_step_is_killed_and_nothing_is_lost_or_done_twice(
    tiny_run: Path, undisturbed: Path, tmp_path: Path
) -> None:
    workdir = tmp_path / "runs"
    kept: dict[str, bytes] = {}
    succeeded: dict[str, dict[str, Any]] = {}
    midway: list[str] = []
    for subject, moment in KILLS:
        kill_at(tiny_run, workdir, lambda subject=subject, moment=moment: moment(workdir, subject))
        if not is_committed(workdir, subject):
            midway.append(subject)
        kept = manifests(workdir) | kept
        succeeded |= {key: row for key, row in rows(workdir).items() if row["state"] == "Succeeded"}
    with start(tiny_run, workdir) as runner:
        assert runner.wait(timeout=400) == 0, output(workdir)

    assert set(midway) == OUTPUTS.keys(), "every step was killed before its end at least once"
    assert digests(workdir) == digests(undisturbed)
    final = manifests(workdir)
    assert {name: final[name] for name in kept} == kept, "written at the same time, by the same attempt"
    ended = rows(workdir)
    for key, row in succeeded.items():
        assert (ended[key]["attempt"], ended[key]["finishedAt"]) == (row["attempt"], row["finishedAt"])
    assert all(row["failures"] == 0 for row in ended.values()), "a killed runner is no failure of a step"
    assert marked(str(workdir / "tiny")) == []


def kill_at(run: Path, workdir: Path, moment: Callable[[], bool]) -> None:
    """Start a runner and kill it, with SIGKILL, as soon as `moment` has come."""
    with start(run, workdir) as runner:
        deadline = time.monotonic() + 300
        while not moment():
            assert runner.poll() is None, output(workdir)
            assert time.monotonic() < deadline, output(workdir)
            time.sleep(0.03)
        runner.kill()
