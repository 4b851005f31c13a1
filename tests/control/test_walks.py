"""Whole runs on a whole cluster: what an undisturbed operator does."""

from __future__ import annotations

from pathlib import Path

from control.bench import bench, condition, outputs, rows, run_manifest, small_manifest
from selfreward.api import ConditionType, Phase, StepState


async def test_a_run_succeeds(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.create(run_manifest(tmp_path))
        made.start()
        status = await made.finished()
        await made.cluster.idle(90)
        made.check()
        left = made.cluster.gpu_pods()
        raw = made.cluster.get("SelfRewardRun", "demo")
    assert status.phase is Phase.SUCCEEDED
    assert condition(status, ConditionType.SUCCEEDED) == "True/Completed"
    assert {row.state for row in rows(status).values()} == {StepState.SUCCEEDED}
    assert {row.attempt for row in rows(status).values()} == {1}
    assert "m2" in outputs(status)
    assert left == []
    assert raw is not None
    assert "annotations" not in raw["metadata"]
    assert "finalizers" not in raw["metadata"]
    assert made.cluster.warnings == []


async def test_a_model_is_chosen_among_checkpoints(tmp_path: Path) -> None:
    """Each is served in its turn, on GPUs that one server at a time holds: the invariants are checked all along."""
    async with bench(tmp_path) as made:
        selection = {"dpo": {"selection": {"checkpoints": 2, "prompts": 2}}}
        made.cluster.create(small_manifest(tmp_path, training=selection))
        made.start()
        status = await made.finished()
        await made.cluster.idle(90)
        made.check()
        left = made.cluster.gpu_pods()
    assert status.phase is Phase.SUCCEEDED
    assert {row.attempt for row in rows(status).values()} == {1}
    assert {"iteration-1/validation", "m2-checkpoint-1", "m2-checkpoint-2", "m2"} <= outputs(status).keys()
    assert left == []
    assert made.cluster.warnings == []


async def test_a_new_operator_asks_little_of_a_finished_run(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.create(run_manifest(tmp_path))
        made.start()
        await made.finished()
        await made.cluster.idle(60)
        await made.kill()
        seen = len(made.cluster.requests.entries)
        made.start()
        await made.cluster.idle(60)
        asked = made.cluster.requests.entries[seen:]
    assert [f"{each.verb} {each.plural}" for each in asked if each.name] == ["get selfrewardruns"]
    assert {each.verb for each in asked} == {"list", "watch", "get"}
