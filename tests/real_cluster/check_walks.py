"""Whole runs with real pods: undisturbed, and with the operator's pods killed again and again."""

from __future__ import annotations

import pytest_asyncio
from selfreward.api import ConditionStatus, ConditionType, Phase, StepState

from real_cluster.api import Api, until
from real_cluster.ground import Ground
from real_cluster.invariants import GPU_SECONDS
from real_cluster.measuring import Measured
from real_cluster.operators import Buckets, Operators, kill_outright, quantile
from real_cluster.runs import Run, condition, rows_of, start, whole

P50_SECONDS, P99_SECONDS = 0.3, 2.0
"""Of a hand-off: from a step's success observed to its next child created."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def handed_off(operators: Operators) -> Buckets:
    """The hand-offs before the undisturbed run: of runs that were held up on purpose."""
    return await operators.handoffs()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def undisturbed(api: Api, ground: Ground, operators: Operators, handed_off: Buckets) -> Run:
    """A run that nobody disturbed, after its end."""
    run = await start(api, whole(await ground.open("selfreward-suite-undisturbed"), ground))
    await run.finished()
    return run


async def test_a_run_succeeds(undisturbed: Run, measured: Measured) -> None:
    status = await undisturbed.status()
    rows = rows_of(status)
    assert status.phase is Phase.SUCCEEDED, await undisturbed.story()
    assert condition(status, ConditionType.SUCCEEDED)[:2] == (ConditionStatus.TRUE, "Completed")
    assert {row.state for row in rows.values()} == {StepState.SUCCEEDED}
    assert {key: row.attempt for key, row in rows.items() if row.attempt != 1} == {}
    assert status.model == "m2"
    assert status.started_at is not None
    assert status.finished_at is not None
    took = {
        key: (row.finished_at - row.started_at).total_seconds()
        for key, row in rows.items()
        if row.finished_at and row.started_at
    }
    measured(f"whole run in {(status.finished_at - status.started_at).total_seconds():.0f} s")
    measured(", ".join(f"{key} {seconds:.0f} s" for key, seconds in took.items()))


async def test_nothing_is_held_after_its_end(undisturbed: Run, measured: Measured) -> None:
    seconds = await until(undisturbed.is_idle, "no pod holds anything", GPU_SECONDS)
    measured(f"idle {seconds:.0f} s after its end was seen")


async def test_it_leaves_no_mark_on_the_resource(undisturbed: Run) -> None:
    metadata = (await undisturbed.raw())["metadata"]
    assert "annotations" not in metadata
    assert "finalizers" not in metadata


async def test_every_artifact_is_what_its_manifest_says(undisturbed: Run, ground: Ground) -> None:
    found = await ground.look((await undisturbed.status()).artifacts)
    assert found["problems"] == []
    assert {"seed", "m0", "sft-baseline", "eft", "m1", "m2", "iteration-1/pairs", "evaluation/m2"} <= set(
        found["artifacts"]
    )


async def test_kubectl_get_shows_it(api: Api, undisturbed: Run) -> None:
    (row,) = await api.table("SelfRewardRun", undisturbed.namespace)
    assert (row["Name"], row["Phase"], row["Iteration"], row["Model"]) == ("tiny", "Succeeded", 1, "m2")
    assert (row["Reason"], row["Message"]) == ("Completed", "the last model is committed")
    assert int(row["Pairs"]) > 0


async def test_the_hand_off_is_quick(
    undisturbed: Run, operators: Operators, handed_off: Buckets, measured: Measured
) -> None:
    now = await operators.handoffs()
    buckets = [(bound, count - before) for (bound, count), (_, before) in zip(now, handed_off, strict=True)]
    # Those that wait for nothing: import, sft-baseline, sft and dpo; other steps wait for a server to come or to go.
    assert buckets[-1][1] >= 4
    p50, p99 = quantile(buckets, 0.5), quantile(buckets, 0.99)
    measured(f"{buckets[-1][1]:.0f} hand-offs: p50 <= {p50} s, p99 <= {p99} s")
    assert p50 <= P50_SECONDS
    assert p99 <= P99_SECONDS


async def test_killed_operators_end_where_the_undisturbed_one_does(
    api: Api, ground: Ground, operators: Operators, undisturbed: Run, measured: Measured
) -> None:
    run = await start(api, whole(await ground.open("selfreward-suite-killed"), ground))
    kills = 0
    for key in ("import", "sft-baseline", "eft", "sft", "prompts-1", "respond-1", "judge-1", "pairs-1", "dpo-1"):
        await run.reaches(key, (StepState.STARTING, StepState.RUNNING))
        leader = await operators.leader()
        # Turn by turn as hard as it can be had, and as a drained node does it.
        if kills % 2 or not kill_outright(leader):
            await operators.delete(leader, grace=0)
        kills += 1
    status = await run.finished()
    assert status.phase is Phase.SUCCEEDED, await run.story()
    assert {key: row.attempt for key, row in rows_of(status).items() if row.attempt != 1} == {}
    found, expected = await ground.look(status.artifacts), await ground.look((await undisturbed.status()).artifacts)
    assert found["problems"] == []
    assert found["artifacts"] == expected["artifacts"]
    measured(f"{kills} kills, the same {len(found['artifacts'])} digests")
    await until(operators.all_ready, "both replicas are back", 180)
