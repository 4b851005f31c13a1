"""Suspension, retry and deletion of runs whose pods are real."""

from __future__ import annotations

from selfreward.api import ConditionStatus, ConditionType, Phase, Reason, StepState
from selfreward.api.annotations import RETRY

from real_cluster.api import Api, until
from real_cluster.ground import BUCKET, Ground
from real_cluster.invariants import GPU_SECONDS
from real_cluster.measuring import Measured
from real_cluster.operators import Operators
from real_cluster.runs import Run, condition, rows_of, short, start


async def test_suspension_frees_the_pods_and_resumption_goes_on(
    api: Api, ground: Ground, operators: Operators, measured: Measured
) -> None:
    run = await start(api, short(await ground.open("selfreward-suite-suspended"), ground))
    await run.reaches("respond-1")
    await run.patch(suspend=True)
    seconds = await until(run.is_idle, "no pod is left", GPU_SECONDS)
    measured(f"suspended: no pod left after {seconds:.0f} s")
    status = await run.status()
    assert status.phase is Phase.SUSPENDED
    assert condition(status, ConditionType.SUSPENDED)[0] is ConditionStatus.TRUE
    before = {key: row.outputs for key, row in rows_of(status).items() if row.state is StepState.SUCCEEDED}
    await run.patch(suspend=False)
    status = await run.finished()
    assert status.phase is Phase.SUCCEEDED, await run.story()
    after = rows_of(status)
    assert {key: after[key].outputs for key in before} == before


async def test_a_failed_run_is_retried_from_its_failed_step(api: Api, ground: Ground, operators: Operators) -> None:
    namespace = await ground.open("selfreward-suite-retried")
    late = f"late/{namespace}.jsonl"
    prompts = {"generator": "file", "source": {"uri": f"s3://{BUCKET}/{late}"}, "count": 8}
    run = await start(api, short(namespace, ground, prompts=prompts))
    status = await run.finished()
    assert status.phase is Phase.FAILED, await run.story()
    failed, reason, message = condition(status, ConditionType.FAILED)
    assert (failed, reason) == (ConditionStatus.TRUE, Reason.CONFIGURATION_ERROR)
    assert late in message
    await ground.run_script(namespace, "judge", ["copy_object.py", BUCKET, "seed/instructions.jsonl", late])
    await api.merge("SelfRewardRun", namespace, run.name, {"metadata": {"annotations": {RETRY: "now"}}})
    await until(lambda: _is_going_on(run), "the run goes on", 60)
    status = await run.finished()
    assert status.phase is Phase.SUCCEEDED, await run.story()
    assert rows_of(status)["import"].attempt == 2
    assert RETRY not in ((await run.raw())["metadata"].get("annotations") or {})


async def test_a_server_that_ends_fails_the_run_and_a_repaired_spec_makes_it_go_on(
    api: Api, ground: Ground, operators: Operators
) -> None:
    broken = short(await ground.open("selfreward-suite-repaired"), ground, retry={"limit": 0, "backoffSeconds": 1})
    good = broken["spec"]["serving"]["command"]
    broken["spec"]["serving"] |= {"command": ["python3", "-c", "raise SystemExit('no weights for me')"]}
    run = await start(api, broken)
    status = await run.finished()
    assert status.phase is Phase.FAILED, await run.story()
    assert "no weights for me" in condition(status, ConditionType.FAILED)[2]
    await run.patch(serving={"command": good})
    await until(lambda: _is_going_on(run), "the run goes on", 60)
    status = await run.finished()
    assert status.phase is Phase.SUCCEEDED, await run.story()
    assert rows_of(status)["import"].attempt == 1


async def _is_going_on(run: Run) -> bool:
    return (await run.status()).finished_at is None


async def test_deletion_leaves_nothing_but_the_artifacts(
    api: Api, ground: Ground, operators: Operators, measured: Measured
) -> None:
    namespace = await ground.open("selfreward-suite-deleted")
    run = await start(api, short(namespace, ground))
    await run.reaches("respond-1")
    await api.delete("SelfRewardRun", namespace, run.name)

    async def is_clean() -> bool:
        return not await run.leftovers()

    seconds = await until(is_clean, "nothing of the run is left", GPU_SECONDS)
    measured(f"deleted in the middle: nothing left after {seconds:.0f} s")
    assert await api.get("SelfRewardRun", namespace, run.name) is None
    found = await ground.look(f"s3://{BUCKET}/runs/namespace={namespace}/{run.name}")
    assert "m0" in found["artifacts"]
    assert found["problems"] == []


async def test_deletion_takes_the_artifacts_along_where_that_is_asked_for(
    api: Api, ground: Ground, operators: Operators
) -> None:
    namespace = await ground.open("selfreward-suite-emptied")
    run = await start(api, short(namespace, ground, deletionPolicy={"artifacts": "Delete"}))
    await run.reaches("respond-1")
    assert (await ground.look(f"s3://{BUCKET}/runs/namespace={namespace}/{run.name}"))["objects"] > 0
    await api.delete("SelfRewardRun", namespace, run.name)

    async def is_gone() -> bool:
        return await api.get("SelfRewardRun", namespace, run.name) is None

    await until(is_gone, "the run is gone", 120)
    assert (await ground.look(f"s3://{BUCKET}/runs/namespace={namespace}/{run.name}"))["objects"] == 0
    assert await run.leftovers() == []
