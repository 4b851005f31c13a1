"""Deletion: preconditions, finalizers, grace, propagation, and the garbage collector."""

from __future__ import annotations

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
    calling,
    config_map,
    job,
    owned_by,
    pod,
    run_manifest,
)

MAP = f"{CONFIG_MAPS}/map"


async def test_an_object_without_finalizers_is_gone_at_once(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        made = call.cluster.create(config_map())
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
async def test_preconditions(tmp_path: Path, wanted: dict[str, str], code: int) -> None:
    async with calling(tmp_path) as call:
        call.cluster.create(config_map())
        answer = await call("DELETE", MAP, {"preconditions": wanted})
        assert (call.cluster.get("ConfigMap", "map") is None) is (code == 200)
    assert answer.code == code


async def test_a_finalizer_holds_the_object(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        manifest = run_manifest()
        manifest["metadata"]["finalizers"] = ["example.dev/hold"]
        call.cluster.create(manifest)
        marked = await call("DELETE", f"{RUNS}/demo")
        added = {"metadata": {"finalizers": ["example.dev/hold", "example.dev/late"]}}
        late = await call("PATCH", f"{RUNS}/demo", added, MERGE)
        freed = await call("PATCH", f"{RUNS}/demo", {"metadata": {"finalizers": None}}, MERGE)
        assert call.cluster.get("SelfRewardRun", "demo") is None
    assert marked.code == 200
    assert marked.body["metadata"]["deletionTimestamp"]
    assert marked.body["metadata"]["generation"] == 2  # deletion counts as a change of the spec
    assert late.code == 422
    assert freed.code == 200


async def test_a_running_pod_gets_its_grace(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        call.cluster.create(pod(nodeName="node-1", terminationGracePeriodSeconds=20))
        first = await call("DELETE", f"{PODS}/pod")
        version = first.version
        again = await call("DELETE", f"{PODS}/pod")
        now = await call("DELETE", f"{PODS}/pod", gracePeriodSeconds="0")
        assert call.cluster.get("Pod", "pod") is None
    assert first.body["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:20Z"
    assert again.version == version
    assert now.code == 200


@pytest.mark.parametrize("phase", ["Pending", "Succeeded"])
async def test_a_pod_that_does_not_run_needs_no_grace(tmp_path: Path, phase: str) -> None:
    async with calling(tmp_path) as call:
        call.cluster.create(pod(**({} if phase == "Pending" else {"nodeName": "node-1"})))
        await call("PATCH", f"{PODS}/pod/status", {"status": {"phase": phase}}, MERGE)
        await call("DELETE", f"{PODS}/pod")
        assert call.cluster.get("Pod", "pod") is None


async def test_delete_collection(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        for name in "abc":
            manifest = config_map(name)
            manifest["metadata"]["labels"] = {"keep": str(name == "b").lower()}
            call.cluster.create(manifest)
        await call("DELETE", CONFIG_MAPS, labelSelector="keep=false")
        left = [item["metadata"]["name"] for item in call.cluster.list("ConfigMap", "default")]
    assert left == ["b"]


async def owner_and_child(call: Calls, **owner: Any) -> None:
    run = call.cluster.create(run_manifest())
    child = config_map()
    child["metadata"] |= owned_by(run, controller=True, **owner)
    call.cluster.create(child)


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
async def test_propagation(tmp_path: Path, options: dict[str, Any], at_once: bool, child_goes: bool) -> None:
    async with calling(tmp_path, controllers=True) as call:
        await owner_and_child(call, blockOwnerDeletion=True)
        await call.cluster.idle(1)
        answer = await call("DELETE", f"{RUNS}/demo", options)
        assert (call.cluster.get("SelfRewardRun", "demo") is None) is at_once
        assert call.cluster.get("ConfigMap", "map") is not None  # the collector comes later
        await call.cluster.idle(5)
        assert call.cluster.get("SelfRewardRun", "demo") is None
        child = call.cluster.get("ConfigMap", "map")
    assert answer.code == (202 if options.get("propagationPolicy") == "Foreground" else 200)
    assert (child is None) is child_goes
    if child is not None:
        assert "ownerReferences" not in child["metadata"]


@pytest.mark.parametrize(("blocks", "waits"), [(True, True), (False, False)])
async def test_foreground_waits_for_dependents_that_block(tmp_path: Path, blocks: bool, waits: bool) -> None:
    async with calling(tmp_path, controllers=True) as call:
        run = call.cluster.create(run_manifest())
        child = config_map()
        child["metadata"] |= owned_by(run, blockOwnerDeletion=blocks)
        child["metadata"]["finalizers"] = ["example.dev/hold"]
        call.cluster.create(child)
        await call("DELETE", f"{RUNS}/demo", {"propagationPolicy": "Foreground"})
        await call.cluster.idle(5)
        assert (call.cluster.get("SelfRewardRun", "demo") is not None) is waits
        call.cluster.edit("ConfigMap", "map", lambda item: item["metadata"].pop("finalizers"))
        await call.cluster.idle(5)
        assert call.cluster.get("SelfRewardRun", "demo") is None


async def test_a_job_deleted_without_a_policy_orphans_its_pods(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        call.cluster.create(job())
        answer = await call("DELETE", f"{JOBS}/job")
    assert answer.body["metadata"]["finalizers"] == ["orphan"]


async def test_a_child_of_an_owner_that_never_was_goes(tmp_path: Path) -> None:
    async with calling(tmp_path, controllers=True) as call:
        run = call.cluster.create(run_manifest())
        run["metadata"]["uid"] = "an-earlier-run-of-that-name"
        child = config_map()
        child["metadata"] |= owned_by(run)
        call.cluster.create(child)
        await call.cluster.idle(5)
        assert call.cluster.get("ConfigMap", "map") is None


async def test_one_of_two_owners_is_enough(tmp_path: Path) -> None:
    async with calling(tmp_path, controllers=True) as call:
        runs = [call.cluster.create(run_manifest(name)) for name in ("a", "b")]
        child = config_map()
        child["metadata"]["ownerReferences"] = [owned_by(run)["ownerReferences"][0] for run in runs]
        call.cluster.create(child)
        await call("DELETE", f"{RUNS}/a")
        await call.cluster.idle(5)
        left = call.cluster.get("ConfigMap", "map")
    assert left is not None
    assert [owner["name"] for owner in left["metadata"]["ownerReferences"]] == ["b"]


async def test_grandchildren_follow(tmp_path: Path) -> None:
    async with calling(tmp_path, controllers=True) as call:
        await owner_and_child(call)
        child = call.cluster.get("ConfigMap", "map")
        assert child is not None
        grandchild = config_map("grandchild")
        grandchild["metadata"] |= owned_by(child)
        call.cluster.create(grandchild)
        await call("DELETE", f"{RUNS}/demo")
        await call.cluster.idle(5)
        assert call.cluster.list("ConfigMap", "default") == []
