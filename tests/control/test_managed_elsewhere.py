"""Runs that another controller looks after (`spec.managedBy`): nothing is done to them, and nothing held up."""

from __future__ import annotations

from pathlib import Path

import pytest
from control.bench import bench, small_manifest, status_of
from prometheus_client import generate_latest
from selfreward.api import RETRY, Phase
from selfreward.control.runs import FINALIZER

KINDS = ("Job", "Deployment", "Secret", "NetworkPolicy")
MULTIKUEUE = "kueue.x-k8s.io/multikueue"


@pytest.mark.parametrize("manager", [None, "selfreward.dev/operator"], ids=["absent", "by-name"])
async def test_the_operator_s_own(tmp_path: Path, manager: str | None) -> None:
    async with bench(tmp_path) as made:
        made.cluster.create(small_manifest(tmp_path, **({} if manager is None else {"managedBy": manager})))
        made.start()
        assert (await made.finished()).phase is Phase.SUCCEEDED


async def test_another_s_is_not_touched(tmp_path: Path) -> None:
    """Not its status, which the other mirrors, not its children, annotations or finalizers; nor when it ends."""
    asks = {"ttlSecondsAfterFinished": 0, "deletionPolicy": {"artifacts": "Delete"}, "managedBy": MULTIKUEUE}
    manifest = small_manifest(tmp_path, **asks)
    manifest["metadata"]["annotations"] = {RETRY: "please"}
    async with bench(tmp_path) as made:
        made.cluster.create(manifest)
        operator = made.start()
        await made.cluster.idle(120)
        made.cluster.edit("SelfRewardRun", "demo", lambda run: run.update(status={"phase": "Succeeded"}))
        await made.cluster.idle(120)
        left = made.cluster.get("SelfRewardRun", "demo")
        writes = made.cluster.requests.writes()
        children = [each for kind in KINDS for each in made.cluster.list(kind)]
        told = generate_latest(operator.metrics.collect()).decode()
    assert [each for each in writes if each.plural != "leases"] == []
    assert children == []
    assert left is not None
    assert left["metadata"]["annotations"] == {RETRY: "please"}
    assert "finalizers" not in left["metadata"]
    assert 'run="demo"' not in told


async def test_a_finalizer_of_ours_that_a_hand_put_there_does_not_keep_it(tmp_path: Path) -> None:
    manifest = small_manifest(tmp_path, managedBy=MULTIKUEUE, deletionPolicy={"artifacts": "Delete"})
    manifest["metadata"]["finalizers"] = [FINALIZER]
    async with bench(tmp_path) as made:
        made.cluster.create(manifest)
        made.start()
        await made.cluster.idle(30)
        assert status_of(made.cluster).observed_generation == -1, "nothing reads as if it had been seen"
        made.cluster.delete("SelfRewardRun", "demo")
        await made.cluster.until(lambda: made.cluster.get("SelfRewardRun", "demo") is None, 60)
