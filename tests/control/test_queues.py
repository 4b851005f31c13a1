"""A run with a Kueue queue: its children wait for quota as long as it takes, and nothing is counted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from control.bench import Bench, bench, rows, small_manifest, status_of
from kube import Logged
from selfreward.api import Phase

QUEUE = "kueue.x-k8s.io/queue-name"
HELD_SECONDS = 900.0
"""Three times `deadlines.start` of these runs."""
HELD = ("demo-import-a1", "demo-dpo-1-a1")


def queued(made: Bench) -> list[str]:
    """Play Kueue: hold what bears the label, and let it go when there is quota. Returns whom it has held."""
    seen: list[str] = []

    def hold(write: Logged) -> None:
        if write.plural not in ("jobs", "pytorchjobs") or write.name not in HELD or write.name in seen:
            return
        found = made.cluster.get(write.kind, write.name)
        if found is None or found["metadata"]["labels"].get(QUEUE) != "team":
            return
        seen.append(write.name)
        made.cluster.edit(write.kind, write.name, lambda item: _suspend(item, True))
        loop = asyncio.get_running_loop()
        loop.call_later(HELD_SECONDS, made.cluster.edit, write.kind, write.name, lambda item: _suspend(item, False))

    made.cluster.after_write.append(hold)
    return seen


def _suspend(item: dict[str, Any], suspend: bool) -> None:
    spec = item["spec"]["runPolicy"] if item["kind"] == "PyTorchJob" else item["spec"]
    spec["suspend"] = suspend


async def test_waiting_in_a_queue_is_no_fault(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        seen = queued(made)
        manifest = small_manifest(tmp_path)
        manifest["metadata"]["labels"] = {QUEUE: "team"}
        made.cluster.create(manifest)
        made.start()
        await made.cluster.idle(HELD_SECONDS / 2)
        waiting = rows(status_of(made.cluster))["import"]
        status = await made.finished(timeout=7200)
        reasons = [event["reason"] for event in made.cluster.list("Event")]
    assert waiting.message == "suspended: waits for its queue's quota"
    assert tuple(seen) == HELD
    assert status.phase is Phase.SUCCEEDED
    assert {(row.attempt, row.infrastructure_failures) for row in rows(status).values()} == {(1, 0)}
    assert reasons.count("QueueMayNotApply") == 1
