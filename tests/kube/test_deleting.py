"""Deletion: preconditions, finalizers, grace, propagation, and the garbage collector."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from kube.calls import (
    CONFIG_MAPS,
    JOBS,
    MERGE,
    PODS,
    RUNS,
    Calls,
    Serve,
    calling,
    config_map,
    job,
    owned_by,
    pod,
    run_manifest,
)

MAP = f"{CONFIG_MAPS}/map"


async def test_an_object_without_finalizers_is_gone_at_once(server: Serve) -> None:
    async with server() as call:
        made = await call.create(config_map())
        answer = await call("DELETE", MAP)
        again = await call("DELETE", MAP)
    assert answer.code == 200
    assert (answer.body["kind"], answer.body["status"]) == ("Status", "Success")
    assert answer.body["details"]["uid"] == made["metadata"]["uid"]
    assert again.code == 404


PRECONDITIONS: list[tuple[str, dict[str, str], int]] = [
    ("another uid", {"uid": "other"}, 409),
    ("stale", {"resourceVersion": "3"}, 409),
    ("none", {}, 200),
]


@pytest.mark.parametrize(("wanted", "code"), [pytest.param(*case[1:], id=case[0]) for case in PRECONDITIONS])
async def test_preconditions(server: Serve, wanted: dict[str, str], code: int) -> None:
    async with server() as call:
        await call.create(config_map())
        answer = await call("DELETE", MAP, {"preconditions": wanted})
        assert (await call.get("ConfigMap", "map") is None) is (code == 200)
    assert answer.code == code


async def test_a_finalizer_holds_the_object(server: Serve) -> None:
    async with server() as call:
        manifest = run_manifest()
        manifest["metadata"]["finalizers"] = ["example.dev/hold"]
        await call.create(manifest)
        marked = await call("DELETE", f"{RUNS}/demo")
        added = {"metadata": {"finalizers": ["example.dev/hold", "example.dev/late"]}}
        late = await call("PATCH", f"{RUNS}/demo", added, MERGE)
        freed = await call("PATCH", f"{RUNS}/demo", {"metadata": {"finalizers": None}}, MERGE)
        assert await call.get("SelfRewardRun", "demo") is None
    assert marked.code == 200
    assert marked.body["metadata"]["deletionTimestamp"]
    assert marked.body["metadata"]["generation"] == 2  # deletion counts as a change of the spec
    assert late.code == 422
    assert freed.code == 200


async def test_a_running_pod_gets_its_grace(server: Serve) -> None:
    async with server() as call:
        await call.create(pod(nodeName="node-1", terminationGracePeriodSeconds=20))
        first = await call("DELETE", f"{PODS}/pod")
        version = first.version
        again = await call("DELETE", f"{PODS}/pod")
        at_once = await call("DELETE", f"{PODS}/pod", gracePeriodSeconds="0")
        assert await call.get("Pod", "pod") is None
    now, end = (
        datetime.fromisoformat(first.body["metadata"][key]) for key in ("creationTimestamp", "deletionTimestamp")
    )
    assert 20 <= (end - now).total_seconds() <= 25
    assert first.body["metadata"]["deletionGracePeriodSeconds"] == 20
    assert again.version == version
    assert at_once.code == 200


@pytest.mark.parametrize("phase", ["Pending", "Succeeded"])
async def test_a_pod_that_does_not_run_needs_no_grace(server: Serve, phase: str) -> None:
    async with server() as call:
        # A scheduler that does not exist leaves a pod pending.
        await call.create(pod(**({"schedulerName": "nobody"} if phase == "Pending" else {"nodeName": "node-1"})))
        await call("PATCH", f"{PODS}/pod/status", {"status": {"phase": phase}}, MERGE)
        await call("DELETE", f"{PODS}/pod")
        assert await call.get("Pod", "pod") is None


async def test_delete_collection(server: Serve) -> None:
    async with server() as call:
        for name in "abc":
            manifest = config_map(name)
            manifest["metadata"]["labels"] = {"keep": str(name == "b").lower()}
            await call.create(manifest)
        await call("DELETE", CONFIG_MAPS, labelSelector="keep=false")
        left = await call.names("ConfigMap")
    assert left == ["b"]


async def owner_and_child(call: Calls, **owner: Any) -> None:
    run = await call.create(run_manifest())
    child = config_map()
    child["metadata"] |= owned_by(run, controller=True, **owner)
    await call.create(child)


PROPAGATION: list[tuple[str, dict[str, Any], bool, bool]] = [
    ("default", {}, True, True),
    ("background", {"propagationPolicy": "Background"}, True, True),
    ("foreground", {"propagationPolicy": "Foreground"}, False, True),
    ("orphan", {"propagationPolicy": "Orphan"}, False, False),
    ("old orphan", {"orphanDependents": True}, False, False),
]


@pytest.mark.parametrize(
    ("options", "at_once", "child_goes"), [pytest.param(*case[1:], id=case[0]) for case in PROPAGATION]
)
async def test_propagation(server: Serve, options: dict[str, Any], at_once: bool, child_goes: bool) -> None:
    async with server(controllers=True) as call:
        await owner_and_child(call, blockOwnerDeletion=True)
        await call.idle(1)
        answer = await call("DELETE", f"{RUNS}/demo", options)
        await call.until_gone("SelfRewardRun", "demo")
        if child_goes:
            await call.until_gone("ConfigMap", "map")
        else:
            await call.idle(3)
            child = await call.get("ConfigMap", "map")
            assert child is not None
            assert "ownerReferences" not in child["metadata"]
    # What is gone at once is answered with a Status, what is only marked with the object.
    assert (answer.body["kind"] == "Status") is at_once
    assert answer.code == 200


async def test_the_collector_comes_later(tmp_path: Path) -> None:
    async with calling(tmp_path, controllers=True) as call:
        await owner_and_child(call)
        await call("DELETE", f"{RUNS}/demo")
        assert call.cluster.get("ConfigMap", "map") is not None


@pytest.mark.parametrize(("blocks", "waits"), [(True, True), (False, False)])
async def test_foreground_waits_for_dependents_that_block(server: Serve, blocks: bool, waits: bool) -> None:
    async with server(controllers=True) as call:
        run = await call.create(run_manifest())
        child = config_map()
        child["metadata"] |= owned_by(run, blockOwnerDeletion=blocks)
        child["metadata"]["finalizers"] = ["example.dev/hold"]
        await call.create(child)
        await call.idle(1)
        await call("DELETE", f"{RUNS}/demo", {"propagationPolicy": "Foreground"})
        await call.idle(5)
        assert (await call.get("SelfRewardRun", "demo") is not None) is waits
        await call("PATCH", MAP, {"metadata": {"finalizers": None}}, MERGE)
        await call.until_gone("SelfRewardRun", "demo")


async def test_a_job_deleted_without_a_policy_orphans_its_pods(server: Serve) -> None:
    async with server() as call:
        await call.create(job(suspend=True))
        answer = await call("DELETE", f"{JOBS}/job")
    assert answer.body["metadata"]["finalizers"] == ["orphan"]


async def test_a_child_of_an_owner_that_never_was_goes(server: Serve) -> None:
    async with server(controllers=True) as call:
        run = await call.create(run_manifest())
        run["metadata"]["uid"] = "an-earlier-run-of-that-name"
        child = config_map()
        child["metadata"] |= owned_by(run)
        await call.create(child)
        await call.until_gone("ConfigMap", "map")


async def test_one_of_two_owners_is_enough(server: Serve) -> None:
    async with server(controllers=True) as call:
        runs = [await call.create(run_manifest(name)) for name in ("a", "b")]
        child = config_map()
        child["metadata"]["ownerReferences"] = [owned_by(run)["ownerReferences"][0] for run in runs]
        await call.create(child)
        await call("DELETE", f"{RUNS}/a")
        await call.idle(5)
        left = await call.get("ConfigMap", "map")
    assert left is not None
    assert [owner["name"] for owner in left["metadata"]["ownerReferences"]] == ["b"]


async def test_grandchildren_follow(server: Serve) -> None:
    async with server(controllers=True) as call:
        await owner_and_child(call)
        child = await call.get("ConfigMap", "map")
        assert child is not None
        grandchild = config_map("grandchild")
        grandchild["metadata"] |= owned_by(child)
        await call.create(grandchild)
        await call("DELETE", f"{RUNS}/demo")
        await call.idle(5)
        await call.until_gone("ConfigMap", "grandchild")
        assert await call.names("ConfigMap") == []
