"""Server-side apply: ownership, conflicts, force, removal, and how it meets plain writes.

Expectations from kubernetes.io, "Server-Side Apply".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.aio import client as kubernetes_client

from kube import FakeCluster
from kube.calls import (
    APPLY,
    CONFIG_MAPS,
    DEPLOYMENTS,
    MERGE,
    RUNS,
    Answer,
    Calls,
    Serve,
    config_map,
    pod_spec,
    run_manifest,
)
from kube.fields import ListKeys, decode, encode, leaves
from kube.kinds import BY_NAME

MAP = f"{CONFIG_MAPS}/map"


async def apply(call: Calls, body: dict[str, Any], manager: str = "one", path: str = MAP, **query: str) -> Answer:
    return await call("PATCH", path, body, APPLY, fieldManager=manager, **query)


async def test_apply_creates_then_updates(server: Serve) -> None:
    async with server() as call:
        made = await apply(call, config_map(a="1"))
        changed = await apply(call, config_map(a="2"))
    assert (made.code, changed.code) == (201, 200)
    assert changed.body["data"] == {"a": "2"}
    (entry,) = changed.body["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("one", "Apply")
    assert entry["fieldsV1"] == {"f:data": {"f:a": {}}}


async def test_applying_the_same_again_is_no_write(server: Serve) -> None:
    async with server() as call:
        made = await apply(call, config_map(a="1"))
        await call.idle(2)  # the clock shows another second
        again = await apply(call, config_map(a="1"))
    assert made.version == again.version


async def test_what_is_no_longer_applied_goes(server: Serve) -> None:
    async with server() as call:
        await apply(call, config_map(a="1", b="2"))
        await apply(call, config_map(c="3"), manager="two")
        answer = await apply(call, config_map(a="1"))
    assert answer.body["data"] == {"a": "1", "c": "3"}


async def test_a_shared_field_stays_until_its_last_owner_lets_go(server: Serve) -> None:
    async with server() as call:
        await apply(call, config_map(a="1", b="2"))
        assert (await apply(call, config_map(a="1"), manager="two")).code == 200
        first = await apply(call, config_map(b="2"))
        second = await apply(call, config_map(), manager="two")
    assert first.body["data"] == {"a": "1", "b": "2"}
    assert second.body["data"] == {"b": "2"}


async def test_another_managers_field_is_a_conflict(server: Serve) -> None:
    async with server() as call:
        await apply(call, config_map(a="1"))
        refused = await apply(call, config_map(a="2"), manager="two")
        stored = await call.get("ConfigMap", "map")
    assert (refused.code, refused.reason) == (409, "Conflict")
    assert refused.body["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.a"}
    ]
    assert refused.message == 'Apply failed with 1 conflict: conflict with "one": .data.a'
    assert stored is not None
    assert stored["data"] == {"a": "1"}


async def test_force_takes_the_field_over(server: Serve) -> None:
    async with server() as call:
        await apply(call, config_map(a="1", b="1"))
        forced = await apply(call, config_map(a="2"), manager="two", force="true")
        late = await apply(call, config_map(a="1", b="1"))
    assert forced.body["data"] == {"a": "2", "b": "1"}
    assert late.code == 409


async def test_a_plain_write_takes_what_it_changes(server: Serve) -> None:
    async with server() as call:
        await apply(call, config_map(a="1", b="1"))
        await call("PATCH", MAP, {"data": {"a": "2"}}, MERGE, fieldManager="editor")
        refused = await apply(call, config_map(a="1", b="1"))
        shared = await apply(call, config_map(a="2", b="1"))
    assert refused.body["details"]["causes"][0]["message"] == 'conflict with "editor" using v1'
    assert shared.code == 200


async def test_the_user_agent_is_the_manager_of_a_plain_write(server: Serve) -> None:
    async with server() as call:
        answer = await call("POST", CONFIG_MAPS, config_map(a="1"))
    assert [entry["manager"] for entry in answer.body["metadata"]["managedFields"]] == ["tester"]


async def test_status_has_managers_of_its_own(server: Serve) -> None:
    async with server() as call:
        await apply(call, run_manifest(), path=f"{RUNS}/demo", manager="user")
        status = {**run_manifest(), "status": {"phase": "Iterating"}}
        answer = await apply(call, status, path=f"{RUNS}/demo/status", manager="operator")
        unchanged = await apply(call, run_manifest(), path=f"{RUNS}/demo", manager="user")
    entries = {entry["manager"]: entry for entry in answer.body["metadata"]["managedFields"]}
    assert entries["operator"]["subresource"] == "status"
    assert entries["operator"]["fieldsV1"] == {"f:status": {"f:phase": {}}}
    assert unchanged.body["status"]["phase"] == "Iterating"
    assert unchanged.version == answer.version


REFUSED: list[tuple[str, dict[str, Any], dict[str, str], int]] = [
    ("no manager", config_map(), {}, 422),
    ("no kind", {"apiVersion": "v1", "metadata": {"name": "map"}}, {"fieldManager": "one"}, 400),
    ("unknown field", {**config_map(), "dta": {}}, {"fieldManager": "one"}, 500),
    ("stale", {**config_map(), "metadata": {"name": "map", "resourceVersion": "7"}}, {"fieldManager": "one"}, 409),
    ("uid", {**config_map("new"), "metadata": {"name": "new", "uid": "u"}}, {"fieldManager": "one"}, 409),
]


@pytest.mark.parametrize(("body", "query", "code"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
async def test_an_apply_is_refused(server: Serve, body: dict[str, Any], query: dict[str, str], code: int) -> None:
    async with server() as call:
        await call.create(config_map())
        answer = await call("PATCH", f"{CONFIG_MAPS}/{body['metadata']['name']}", body, APPLY, **query)
    assert answer.code == code


async def test_status_of_nothing_cannot_be_applied(server: Serve) -> None:
    async with server() as call:
        answer = await apply(call, run_manifest(), path=f"{RUNS}/demo/status")
    assert answer.code == 404


def deployment(**container: Any) -> dict[str, Any]:
    containers = [{"name": "server", "image": "a", **container}]
    spec = {"containers": containers}
    template = {"metadata": {"labels": {"app": "x"}}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "server"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template},
    }


async def test_keyed_lists_merge_by_item(server: Serve) -> None:
    async with server() as call:
        path = f"{DEPLOYMENTS}/server"
        await apply(call, deployment(env=[{"name": "A", "value": "1"}]), path=path)
        await apply(call, deployment(env=[{"name": "B", "value": "2"}]), path=path, manager="two")
        answer = await apply(call, deployment(env=[{"name": "A", "value": "3"}]), path=path)
    (container,) = answer.body["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "A", "value": "3"}, {"name": "B", "value": "2"}]


async def test_a_custom_resources_lists_are_atomic(server: Serve) -> None:
    def conditions(*types: str) -> dict[str, Any]:
        common = {"status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "Created", "message": ""}
        return {**run_manifest(), "status": {"conditions": [{"type": each, **common} for each in types]}}

    async with server() as call:
        await call.create(run_manifest())
        path = f"{RUNS}/demo/status"
        first = await apply(call, conditions("Ready"), path=path)
        refused = await apply(call, conditions("Ready", "Failed"), path=path, manager="two")
    assert first.code == 200, first.body
    assert refused.body["details"]["causes"][0]["field"] == ".status.conditions"


SNAPSHOTS = sorted((Path(__file__).parents[1] / "render" / "snapshots").glob("*.yaml"))


@pytest.mark.parametrize("file", [pytest.param(file, id=file.stem) for file in SNAPSHOTS])
async def test_our_manifests_are_accepted_and_applied_twice_without_a_write(server: Serve, file: Path) -> None:
    async with server() as call:
        for manifest in yaml.safe_load_all(file.read_text()):
            if not isinstance(manifest, dict) or "kind" not in manifest:
                continue  # snapshots of commands and configurations lie beside those of manifests
            kind = BY_NAME[manifest["kind"]]
            if (await call("GET", kind.path)).code == 404:
                continue  # the training operator is no part of a cluster: ours has it, a real one may
            # There is no such run here: a garbage collector would take what it owns.
            manifest["metadata"].pop("ownerReferences", None)
            path = f"{kind.path}/namespaces/research/{kind.plural}/{manifest['metadata']['name']}"
            made = await apply(call, manifest, path=path)
            assert made.code == 201, made.body
            again = await apply(call, manifest, path=path)
            assert _written(again) == _written(made)
            assert "unknown field" not in made.headers.get("Warning", "")


def _written(answer: Answer) -> object:
    """What a write of the spec changes: of kinds without a generation, which no controller touches, the version."""
    return answer.body["metadata"].get("generation", answer.version)


def test_fields_are_written_and_read_back() -> None:
    item = {
        "metadata": {"labels": {"a": "b"}, "finalizers": ["x"]},
        "spec": {"containers": [pod_spec()["containers"][0]]},
    }
    paths = frozenset(leaves(item, ListKeys(atomic_outside_metadata=False)))
    written = encode(paths)
    assert written["f:spec"]["f:containers"]['k:{"name":"step"}']["."] == {}
    assert written["f:metadata"]["f:finalizers"] == {'v:"x"': {}}
    assert frozenset(decode(written)) == paths


async def test_the_generated_client_applies(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path, controllers=False) as cluster:
        api = kubernetes_client.CustomObjectsApi(cluster.client())
        address = ("selfreward.dev", "v1alpha1", "default", "selfrewardruns", "demo")
        answers = [
            await api.patch_namespaced_custom_object(
                *address, run_manifest(), field_manager="me", force=True, _content_type=APPLY
            )
            for _ in range(2)
        ]
        stored = cluster.get("SelfRewardRun", "demo")
    # The client knows no 201 of a custom object's PATCH and gives None for it: an applier must look at the code.
    assert answers == [None, stored]
    assert stored is not None
    assert stored["metadata"]["managedFields"][0]["operation"] == "Apply"
