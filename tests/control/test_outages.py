"""The API server out of reach, watches that say nothing, and two operators that both believe they lead."""

from __future__ import annotations

from pathlib import Path

import pytest
from control.bench import Bench, bench, outputs, rows, small_manifest, status_of
from kube import Behaviour, Fault, FaultKind, Logged, WatchFault, WatchFaultKind
from selfreward.api import Phase

OUTAGE_SECONDS = 600.0
RECOVERY_SECONDS = 60.0


@pytest.mark.parametrize("into", [0.0, 4.0, 9.0], ids=["at the start", "in a step", "between two"])
async def test_an_outage_of_ten_minutes(tmp_path: Path, into: float) -> None:
    """The operator outlives it, whenever in a run it comes, and acts within a minute of its end."""
    async with bench(tmp_path) as made:
        made.cluster.create(small_manifest(tmp_path))
        operator = made.start()
        await made.cluster.idle(into)
        made.cluster.faults.decide = lambda _: Fault(answer=503)
        await made.cluster.idle(OUTAGE_SECONDS)
        made.cluster.faults.clear()
        up = made.cluster.clock.seconds
        (process,) = made.operators
        assert not process.done()
        await made.cluster.until(lambda: _acted_since(made, up), RECOVERY_SECONDS)
        status = await made.finished()
        await made.cluster.idle(300)
        assert operator.ailment() == ""
    assert status.phase is Phase.SUCCEEDED
    assert {row.attempt for row in rows(status).values()} == {1}


def _acted_since(made: Bench, up: float) -> bool:
    return any(write.at >= up and write.committed and write.plural != "events" for write in made.cluster.requests)


async def test_silent_watches_make_the_process_unhealthy_and_stop_nothing(tmp_path: Path) -> None:
    """Not even bookmarks come, and the connections stay open: the worst kind of silence."""
    async with bench(tmp_path) as made:
        made.cluster.faults.on_watch(WatchFault(WatchFaultKind.STALL, times=0))
        made.cluster.playbook.on(Behaviour(runs=120), kind="Job")
        made.cluster.create(small_manifest(tmp_path))
        operator = made.start()
        status = await made.finished(timeout=4 * 3600)
        # Of a cluster in which nothing happens a watch owes nothing.
        for beat in range(5):
            made.cluster.edit(
                "SelfRewardRun",
                "demo",
                lambda run, beat=beat: run["metadata"].update(labels={"beat": str(beat)}),
            )
            await made.cluster.idle(120)
        ailment = operator.ailment()
    assert status.phase is Phase.SUCCEEDED
    assert ailment == "watches are silent"


async def test_two_operators_without_the_lease(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.create(small_manifest(tmp_path))
        made.start("one")
        made.start("two")
        status = await made.finished()
        await made.cluster.idle(90)
        made.check()
        created = [each for each in made.cluster.requests if _creates_a_child(each)]
        both = {each.user_agent for each in created}
    names = [(each.plural, each.name) for each in created]
    assert status.phase is Phase.SUCCEEDED
    assert {row.attempt for row in rows(status).values()} == {1}
    assert len(names) == len(set(names)), "no child was made twice"
    assert both <= {"one", "two"}


def _creates_a_child(each: Logged) -> bool:
    is_child = each.plural in ("jobs", "pytorchjobs", "deployments")
    return is_child and each.verb in ("apply", "create") and each.committed


@pytest.mark.parametrize("seed", range(1))
async def test_two_operators_on_a_bad_network(tmp_path: Path, seed: int) -> None:
    async with bench(tmp_path) as made:
        made.cluster.faults.at_random(seed, 0.15)
        made.cluster.create(small_manifest(tmp_path))
        made.start("one")
        made.start("two")
        status = await made.finished(timeout=6 * 3600)
        assert status == status_of(made.cluster)
    assert status.phase is Phase.SUCCEEDED


async def test_deleted_in_the_middle(tmp_path: Path) -> None:
    """Invariant 6: nothing of a run that is deleted remains but its artifacts."""
    async with bench(tmp_path) as made:
        made.cluster.playbook.on(Behaviour(runs=60), step="judge")
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        await made.cluster.until(lambda: made.cluster.list("Pod", labels="selfreward.dev/step=judge"))
        made.check()
        made.cluster.delete("SelfRewardRun", "demo")
        made.check()
        await made.cluster.idle(120)
        made.check()
    assert (tmp_path / "store/namespace=default/demo").is_dir()


async def test_deleted_with_its_artifacts(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.playbook.on(Behaviour(runs=60), step="judge")
        made.cluster.create(small_manifest(tmp_path, deletionPolicy={"artifacts": "Delete"}))
        made.start()
        await made.cluster.until(lambda: made.cluster.list("Pod", labels="selfreward.dev/step=judge"))
        made.check()
        made.cluster.delete("SelfRewardRun", "demo")
        await made.cluster.until(lambda: made.cluster.get("SelfRewardRun", "demo") is None, 120)
        made.check()
        await made.cluster.idle(120)
        made.check()
    assert not [each for each in (tmp_path / "store").rglob("*") if each.is_file()]


@pytest.mark.parametrize("plural", ["jobs", "pytorchjobs", "deployments"])
async def test_a_child_known_by_its_pods_alone_is_no_lost_one(tmp_path: Path, plural: str) -> None:
    """Its creation is never answered and its watch is silent, while the watch of pods tells of what it made."""
    async with bench(tmp_path) as made:
        made.cluster.faults.add(
            Fault(FaultKind.RESET_AFTER_COMMIT, on=f"apply {plural}"),
            Fault(answer=503, on=f"get {plural}", nth=2, times=2),
        )
        made.cluster.faults.on_watch(WatchFault(WatchFaultKind.STALL, plural, times=0))
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        status = await made.finished()
        made.check()
        assert any("reset" in each for each in made.cluster.faults.injected)
    assert status.phase is Phase.SUCCEEDED
    assert {key: row.reason for key, row in rows(status).items() if row.attempt != 1} == {}
    assert {name for name in applied(made) if not name.endswith("-a1")} == set()


async def test_a_child_gone_before_it_is_deleted_keeps_no_run_waiting(tmp_path: Path) -> None:
    """Its output is committed, the run waits for it alone, and no watch tells that somebody has removed it."""
    async with bench(tmp_path) as made:
        made.cluster.faults.on_watch(WatchFault(WatchFaultKind.STALL, "jobs", times=0))
        made.cluster.playbook.on(Behaviour(runs=600, commits_after=1), step="pairs")
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        await made.cluster.until(lambda: "m2" in outputs(status_of(made.cluster)))
        made.cluster.delete("Job", "demo-pairs-1-a1")
        status = await made.finished(timeout=120)
        made.check()
        deletions = made.cluster.requests.matching("delete", "jobs", name="demo-pairs-1-a1")
    assert status.phase is Phase.SUCCEEDED
    assert [each.status for each in deletions] == [404]


def applied(made: Bench) -> set[str]:
    """Names of the workloads that were created."""
    kinds = ("jobs", "pytorchjobs", "deployments")
    return {each.name for each in made.cluster.requests.entries if each.verb == "apply" and each.plural in kinds}
