"""Create, update and patch: what is kept, what is refused, and when an object's versions move.

Expectations are the API server's, from kubernetes.io "Kubernetes API Concepts" and "API conventions".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kube.calls import (
    APPLY,
    CONFIG_MAPS,
    JOBS,
    JSON_PATCH,
    LEASES,
    MERGE,
    PODS,
    RUNS,
    SECRETS,
    Serve,
    calling,
    config_map,
    job,
    pod,
    run_manifest,
)

LEASE = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "leader"},
    "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15},
}


async def test_the_server_gives_identity(server: Serve) -> None:
    async with server() as call:
        made = await call("POST", CONFIG_MAPS, config_map(a="1"))
        other = await call("POST", CONFIG_MAPS, config_map("other"))
    assert made.code == 201
    metadata = made.body["metadata"]
    assert metadata["uid"] != other.body["metadata"]["uid"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", metadata["creationTimestamp"])
    assert metadata["namespace"] == call.namespace
    assert int(other.version) > int(made.version)
    assert "generation" not in metadata


REFUSED_CREATES: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("taken", CONFIG_MAPS, config_map("taken"), 409, "AlreadyExists"),
    ("no name", CONFIG_MAPS, {"metadata": {}}, 422, "Invalid"),
    ("bad name", CONFIG_MAPS, config_map("Bad_Name"), 422, "Invalid"),
    ("bad label", CONFIG_MAPS, {"metadata": {"name": "x", "labels": {"a": "b" * 64}}}, 422, "Invalid"),
    ("resourceVersion", CONFIG_MAPS, {"metadata": {"name": "x", "resourceVersion": "5"}}, 500, ""),
    ("other kind", CONFIG_MAPS, {"kind": "Secret", "metadata": {"name": "x"}}, 400, "BadRequest"),
    ("other namespace", CONFIG_MAPS, {"metadata": {"name": "x", "namespace": "research"}}, 400, "BadRequest"),
    ("no such namespace", CONFIG_MAPS.replace("default", "absent"), config_map("x"), 404, "NotFound"),
    ("no such resource", "/apis/batch/v1/namespaces/default/nonsense", {}, 404, "NotFound"),
    ("no namespace", "/api/v1/configmaps", config_map("x"), 405, "MethodNotAllowed"),
    ("owner without uid", CONFIG_MAPS, {"metadata": {"name": "x", "ownerReferences": [{"name": "o"}]}}, 422, "Invalid"),
    ("pod without image", PODS, pod(containers=[{"name": "step"}]), 422, "Invalid"),
    ("job that restarts", JOBS, job(template={"spec": {**pod()["spec"], "restartPolicy": "Always"}}), 422, "Invalid"),
    ("indexed without completions", JOBS, job(completionMode="Indexed", parallelism=2), 422, "Invalid"),
]


@pytest.mark.parametrize(
    ("path", "body", "code", "reason"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED_CREATES]
)
async def test_a_create_is_refused(server: Serve, path: str, body: dict[str, Any], code: int, reason: str) -> None:
    async with server() as call:
        await call.create(config_map("taken"))
        answer = await call("POST", path, body)
        assert await call.names("ConfigMap") == ["taken"]
        assert await call.names("Job") == []
    assert (answer.code, answer.reason) == (code, reason)
    assert answer.body["kind"] == "Status"


async def test_generate_name(server: Serve) -> None:
    async with server() as call:
        body = {"metadata": {"generateName": "run-"}}
        names = {(await call("POST", CONFIG_MAPS, body)).body["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("run-") and len(name) == 9 for name in names)


async def test_an_update_needs_the_newest_version(server: Serve) -> None:
    async with server() as call:
        first = (await call("POST", CONFIG_MAPS, config_map(a="1"))).body
        second = await call("PUT", f"{CONFIG_MAPS}/map", {**first, "data": {"a": "2"}})
        stale = await call("PUT", f"{CONFIG_MAPS}/map", {**first, "data": {"a": "3"}})
        stored = await call.get("ConfigMap", "map")
    assert second.code == 200
    assert (stale.code, stale.reason) == (409, "Conflict")
    assert "the object has been modified" in stale.message
    assert stored is not None
    assert stored["data"] == {"a": "2"}


UNCONDITIONAL: list[tuple[str, str, dict[str, Any], int]] = [
    ("built-in", CONFIG_MAPS, config_map("x"), 200),
    ("custom", RUNS, run_manifest("x"), 422),
    ("lease", LEASES, {**LEASE, "metadata": {"name": "x"}}, 422),
]


@pytest.mark.parametrize(("path", "body", "code"), [pytest.param(*case[1:], id=case[0]) for case in UNCONDITIONAL])
async def test_a_put_without_version(server: Serve, path: str, body: dict[str, Any], code: int) -> None:
    async with server() as call:
        await call("POST", path, body)
        answer = await call("PUT", f"{path}/x", body)
    assert answer.code == code


async def test_a_put_to_nowhere(server: Serve) -> None:
    async with server() as call:
        refused = await call("PUT", f"{CONFIG_MAPS}/map", config_map())
        created = await call("PUT", f"{LEASES}/leader", LEASE)
    assert refused.code == 404
    assert created.code == 201


async def test_two_candidates_race_for_a_lease(server: Serve) -> None:
    async with server() as call:
        seen = (await call("POST", LEASES, LEASE)).body
        takes = [{**seen, "spec": {**seen["spec"], "holderIdentity": name}} for name in ("b", "c")]
        answers = [await call("PUT", f"{LEASES}/leader", body) for body in takes]
        held = await call.get("Lease", "leader")
    assert [answer.code for answer in answers] == [200, 409]
    assert held is not None
    assert held["spec"]["holderIdentity"] == "b"


async def test_another_uid_is_a_conflict_in_a_put_and_wrong_in_a_patch(server: Serve) -> None:
    async with server() as call:
        made = await call.create(config_map())
        other = {**made, "metadata": {**made["metadata"], "uid": "another"}}
        put = await call("PUT", f"{CONFIG_MAPS}/map", other)
        patched = await call("PATCH", f"{CONFIG_MAPS}/map", {"metadata": {"uid": "another"}}, MERGE)
        applied = await call("PATCH", f"{CONFIG_MAPS}/map", other_map(), APPLY, fieldManager="one")
    assert (put.code, patched.code, applied.code) == (409, 422, 422)
    assert "UID in precondition: another" in put.message
    assert set(patched.causes) == set(applied.causes) == {"metadata.uid"}


def other_map() -> dict[str, Any]:
    return {**config_map(), "metadata": {"name": "map", "uid": "another"}}


async def test_status_and_spec_are_apart(server: Serve) -> None:
    async with server() as call:
        made = (await call("POST", RUNS, {**run_manifest(), "status": {"phase": "Made up"}})).body
        both = {"spec": {"iterations": 3}, "status": {"phase": "Iterating"}}
        main = (await call("PATCH", f"{RUNS}/demo", both, MERGE)).body
        sub = (await call("PATCH", f"{RUNS}/demo/status", {**both, "spec": {"iterations": 9}}, MERGE)).body
    assert made["status"]["phase"] == "Pending"  # the CRD's default: what the user sent is dropped
    assert (main["spec"]["iterations"], main["status"]["phase"]) == (3, "Pending")
    assert (sub["spec"]["iterations"], sub["status"]["phase"]) == (3, "Iterating")


async def test_status_writes_leave_metadata_alone(server: Serve) -> None:
    async with server() as call:
        await call.create(run_manifest())
        patch = {"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Iterating"}}
        answer = await call("PATCH", f"{RUNS}/demo/status", patch, MERGE)
    assert "labels" not in answer.body["metadata"]


GENERATIONS: list[tuple[str, str, dict[str, Any], int]] = [
    ("spec", "", {"spec": {"iterations": 4}}, 2),
    ("same spec", "", {"spec": {"suspend": False}}, 1),
    ("labels", "", {"metadata": {"labels": {"a": "b"}}}, 1),
    ("status", "/status", {"status": {"phase": "Iterating"}}, 1),
]


@pytest.mark.parametrize(
    ("subresource", "patch", "generation"), [pytest.param(*case[1:], id=case[0]) for case in GENERATIONS]
)
async def test_the_generation_counts_changes_of_the_spec(
    server: Serve, subresource: str, patch: dict[str, Any], generation: int
) -> None:
    async with server() as call:
        await call.create(run_manifest())
        answer = await call("PATCH", f"{RUNS}/demo{subresource}", patch, MERGE)
    assert answer.body["metadata"]["generation"] == generation


async def test_a_write_without_change_is_no_write(server: Serve) -> None:
    async with server() as call:
        made = await call("POST", CONFIG_MAPS, config_map(a="1"))
        await call.idle(2)  # the clock shows another second
        patched = await call("PATCH", f"{CONFIG_MAPS}/map", {"data": {"a": "1"}}, MERGE)
        put = await call("PUT", f"{CONFIG_MAPS}/map", made.body)
    assert made.version == patched.version == put.version


async def test_a_write_without_change_commits_nothing(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        await call("POST", CONFIG_MAPS, config_map(a="1"))
        await call("PATCH", f"{CONFIG_MAPS}/map", {"data": {"a": "1"}}, MERGE)
        committed = [entry.committed for entry in call.cluster.requests.writes()]
    assert committed == [True, False]


async def test_a_dry_run_changes_nothing(server: Serve) -> None:
    async with server() as call:
        made = await call("POST", CONFIG_MAPS, config_map(), dryRun="All")
        kept = await call.create(config_map("kept", a="1"))
        patched = await call("PATCH", f"{CONFIG_MAPS}/kept", {"data": {"a": "2"}}, MERGE, dryRun="All")
        deleted = await call("DELETE", f"{CONFIG_MAPS}/kept", dryRun="All")
        wrong = await call("POST", CONFIG_MAPS, config_map(), dryRun="Some")
        assert await call.get("ConfigMap", "kept") == kept
        assert await call.get("ConfigMap", "map") is None
    assert (made.code, patched.code, deleted.code, wrong.code) == (201, 200, 200, 422)
    assert wrong.causes == ["dryRun"]
    assert patched.body["data"] == {"a": "2"}


@pytest.mark.parametrize(
    ("suspend", "label", "image"), [(False, ["spec.template"], ["spec.template"]), (True, [], ["spec.template.spec"])]
)
async def test_a_job_template_is_immutable(server: Serve, suspend: bool, label: list[str], image: list[str]) -> None:
    async with server() as call:
        await call.create(job(suspend=suspend))
        changes = [("add", "metadata/labels/x"), ("replace", "spec/containers/0/image")]
        patches = [[{"op": verb, "path": f"/spec/template/{path}", "value": "other"}] for verb, path in changes]
        answers = [await call("PATCH", f"{JOBS}/job", patch, JSON_PATCH) for patch in patches]
        resumed = await call("PATCH", f"{JOBS}/job", {"spec": {"suspend": False}}, MERGE)
    assert [answer.causes if answer.code == 422 else [] for answer in answers] == [label, image]
    assert resumed.code == 200


async def test_secrets_take_text(server: Serve) -> None:
    async with server() as call:
        body = {"metadata": {"name": "key"}, "stringData": {"token": "abc"}}
        answer = await call("POST", SECRETS, body)
    assert answer.body["data"] == {"token": "YWJj"}
    assert "stringData" not in answer.body
    assert answer.body["type"] == "Opaque"


@pytest.mark.parametrize(
    ("validation", "code", "warned"), [("Warn", 201, True), ("Ignore", 201, False), ("Strict", 400, False)]
)
async def test_a_misspelt_field_of_a_built_in_kind(server: Serve, validation: str, code: int, warned: bool) -> None:
    async with server() as call:
        answer = await call("POST", JOBS, job(backofLimit=3, suspend=True), fieldValidation=validation)
    assert answer.code == code
    assert ("Warning" in answer.headers) is warned
    if code == 201:
        assert "backofLimit" not in answer.body["spec"]


async def test_what_is_returned_is_not_what_is_stored(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        made = call.cluster.create(config_map(a="1"))
        made["data"]["a"] = "changed here"
        read = call.cluster.get("ConfigMap", "map")
        assert read is not None
        read["data"]["a"] = "and here"
        again = call.cluster.get("ConfigMap", "map")
    assert again is not None
    assert again["data"] == {"a": "1"}
