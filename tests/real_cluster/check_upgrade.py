"""The chart beside runs that are alive: a second release, and an upgrade to the next version with other values."""

from __future__ import annotations

import time

from selfreward.api import Phase, StepState
from selfreward.render.metadata import COMPONENT

from real_cluster.api import Api, until
from real_cluster.ground import Ground
from real_cluster.measuring import Measured
from real_cluster.operators import Operators
from real_cluster.release import Release
from real_cluster.runs import Run, rows_of, short, start

READY_SECONDS = 30
"""From `helm install` to two replicas that answer, one of them leading, where the nodes have the image."""


async def test_the_release_passes_its_own_test(release: Release, operators: Operators) -> None:
    assert "The operator is ready, and runs can be listed." in await release.test()


async def test_a_release_of_one_namespace_is_ready_soon(
    api: Api, ground: Ground, release: Release, operators: Operators, measured: Measured
) -> None:
    namespace = await ground.open("selfreward-suite-team")
    other = Release(ground, namespace, release.folder, "team")
    started = time.monotonic()
    own = {"watchNamespaces": [namespace], "crds": {"enabled": False}, "rbac": {"create": True, "aggregate": False}}
    await other.install(**own, fullnameOverride="team")
    try:
        await until(Operators(api, namespace, "team").all_ready, "both replicas answer and one leads", 120)
        seconds = time.monotonic() - started
        measured(f"ready {seconds:.0f} s after `helm install`")
        assert "The operator is ready, and runs can be listed." in await other.test()
    finally:
        await other.uninstall()
    assert seconds <= READY_SECONDS


async def test_an_upgrade_disturbs_no_run(
    api: Api, ground: Ground, release: Release, operators: Operators, measured: Measured
) -> None:
    # Answering and judging, which the same server does, take longer than the upgrade.
    run = await start(api, short(await ground.open("selfreward-suite-upgraded"), ground, delay=2.0))
    await run.reaches("respond-1")
    replaced, servers = await operators.pods(), await _servers(run)
    assert servers
    changed = {"workers": 3, "logging": {"level": "debug"}, "podAnnotations": {"example.com/changed": "true"}}
    started = time.monotonic()
    await release.install(release.next_version(), **changed)
    try:
        await until(operators.all_ready, "both new replicas answer and one leads", 120)
        measured(f"upgraded in {time.monotonic() - started:.0f} s")
        pods = await operators.pods()
        assert {each["metadata"]["labels"]["app.kubernetes.io/version"] for each in pods} == {"99.0.0"}
        assert not {each["metadata"]["uid"] for each in pods} & {each["metadata"]["uid"] for each in replaced}
        assert (await run.rows())["judge-1"].state is not StepState.SUCCEEDED, "too late to have disturbed anything"
        assert await _servers(run) == servers
        status = await run.finished()
        assert status.phase is Phase.SUCCEEDED, await run.story()
        assert {key: row.attempt for key, row in rows_of(status).items() if row.attempt != 1} == {}
        assert (await ground.look(status.artifacts))["problems"] == []
    finally:
        await release.install()
        await until(operators.all_ready, "the replicas of before are back", 180)


async def _servers(run: Run) -> set[str]:
    """The uids of the pods that serve a model of it."""
    pods = [each["metadata"] for each in await run.pods()]
    return {each["uid"] for each in pods if each["labels"][COMPONENT] == "serving"}
