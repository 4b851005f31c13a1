"""Tenants: what one of them writes into a run reaches nobody else's artifacts, servers or pods, and stalls nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from control.bench import Bench, bench, small_manifest
from selfreward.api import ObjectMeta, Phase, Storage
from selfreward.control.storage import StoragePolicy

MINIO = "http://minio.storage:9000"
OWNED = StoragePolicy(
    uri="s3://runs/all", endpoint_url=MINIO, region="eu-west-1", endpoints=("https://s3.example.com/",)
)


def problems(policy: StoragePolicy, storage: dict[str, str], namespace: str = "team-a") -> list[str]:
    completed = policy.completed(Storage.model_validate(storage), None)
    return list(policy.problems(completed, ObjectMeta(name="run", namespace=namespace)))


@pytest.mark.parametrize(
    ("storage", "uri", "endpoint"),
    [
        ({}, "s3://runs/all", MINIO),
        ({"secret": "mine"}, "s3://runs/all", MINIO),
        ({"endpointUrl": "https://s3.example.com"}, "s3://runs/all", "https://s3.example.com"),
        ({"uri": "s3://mine"}, "s3://mine", None),
    ],
)
def test_the_default_completes_what_a_run_leaves_out(storage: dict[str, str], uri: str, endpoint: str | None) -> None:
    completed = OWNED.completed(Storage.model_validate(storage), None)
    assert (completed.uri, completed.endpoint_url, completed.secret) == (uri, endpoint, storage.get("secret"))
    assert problems(OWNED, storage) == []


def test_a_run_that_has_begun_keeps_its_place() -> None:
    completed = OWNED.completed(Storage(), "s3://before")
    assert (completed.uri, completed.endpoint_url) == ("s3://before", None)


@pytest.mark.parametrize(
    "endpoint", ["http://tenant.example.com", "https://s3.example.com.evil.org", "http://minio.storage:9000@evil.org"]
)
def test_the_operators_credentials_go_to_no_server_that_it_was_not_told(endpoint: str) -> None:
    (problem,) = problems(OWNED, {"uri": "s3://mine", "endpointUrl": endpoint})
    assert problem.startswith(f"spec.storage.endpointUrl: {endpoint}: this operator sends its credentials to no server")
    assert problems(StoragePolicy(endpoints=("*",)), {"uri": "s3://mine", "endpointUrl": endpoint}) == []


@pytest.mark.parametrize(
    ("uri", "namespace", "allowed"),
    [
        ("s3://shared/x", "team-a", True),
        ("s3://shared", "team-b", True),
        ("s3://shared-evil", "team-a", False),
        ("s3://team-a/runs/deeper", "team-a", True),
        ("s3://team-a/runs", "team-b", False),
        ("file:///etc", "team-a", False),
        ("s3://runs/all", "team-c", True),
        ("s3://runs", "team-c", False),
    ],
)
def test_runs_name_prefixes_that_are_allowed_alone(uri: str, namespace: str, allowed: bool) -> None:
    policy = StoragePolicy(uri="s3://runs/all", allowed=("s3://shared/", "team-a=s3://team-a/runs"))
    assert (problems(policy, {"uri": uri}, namespace) == []) is allowed


def test_fields_of_one_kind_of_storage_beside_a_default_of_the_other() -> None:
    (problem,) = problems(OWNED, {"claimName": "volume"})
    assert problem == "spec.storage.claimName: only a file:// URI lies on a volume, and storage is at s3://runs/all"
    (problem,) = problems(StoragePolicy(uri="file:///data"), {"secret": "mine"})
    assert problem == "spec.storage.secret: only an s3:// URI takes one, and storage is at file:///data"


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("artifacts", ["Delete", "Retain"])
@pytest.mark.parametrize(
    ("name", "namespace", "prefix"),
    [
        ("m1", "evaluation", "/namespace=default/victim"),
        ("run", "team-b", "/Namespace%3Ddefault/victim/m1"),
        ("default", "team-b", "/.."),
    ],
)
async def test_a_run_cannot_reach_into_anothers_artifacts(
    tmp_path: Path, name: str, namespace: str, prefix: str, artifacts: str
) -> None:
    async with bench(tmp_path) as made:
        new_namespace(made, namespace)
        made.cluster.create(small_manifest(tmp_path, name="victim"))
        made.start()
        await made.finished("victim")
        before = files(tmp_path / "store")
        attack = small_manifest(
            tmp_path,
            name=name,
            deletionPolicy={"artifacts": artifacts},
            storage={"uri": f"file://{tmp_path}/store{prefix}"},
        )
        attack["metadata"]["namespace"] = namespace
        made.cluster.create(attack)
        await made.cluster.idle(120)
        stalled = [each for each in conditions(made, name, namespace) if each["type"] == "Stalled"]
        made.cluster.delete("SelfRewardRun", name, namespace)
        await made.cluster.idle(2 * 3600)
        gone = made.cluster.get("SelfRewardRun", name, namespace) is None
    assert files(tmp_path / "store") == before
    assert [each["status"] for each in stalled] == ["True"]
    assert gone


def new_namespace(made: Bench, name: str) -> None:
    made.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def conditions(made: Bench, name: str, namespace: str) -> list[dict[str, str]]:
    run = made.cluster.get("SelfRewardRun", name, namespace)
    assert run is not None
    found: list[dict[str, str]] = run["status"]["conditions"]
    return found


async def test_a_pod_of_another_namespace_that_bears_a_runs_labels_is_not_the_runs(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.create(small_manifest(tmp_path, deletionPolicy={"artifacts": "Delete"}))
        made.start()
        await made.cluster.until(lambda: bool(made.cluster.list("Pod")), 600)
        pod = made.cluster.list("Pod")[0]
        new_namespace(made, "team-b")
        kept = {name: pod["metadata"][name] for name in ("labels", "annotations") if name in pod["metadata"]}
        planted = {"name": "planted", "namespace": "team-b", **kept}
        made.cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": planted, "spec": pod["spec"]})
        status = await made.finished()
        made.cluster.delete("SelfRewardRun", "demo")
        await made.cluster.idle(120)
        gone = made.cluster.get("SelfRewardRun", "demo") is None
        still = made.cluster.get("Pod", "planted", "team-b")
    assert status.phase is Phase.SUCCEEDED
    assert gone
    assert still is not None
