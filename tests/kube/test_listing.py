"""Lists: selectors, chunks, resource versions; and discovery."""

from __future__ import annotations

from pathlib import Path

import pytest

from kube.calls import CONFIG_MAPS, PODS, RUNS, SECRETS, Serve, calling, config_map, pod, run_manifest, secret
from kube.selectors import label_selector

ITEM = {"metadata": {"name": "x", "labels": {"app": "vllm", "tier": "gpu"}}}
SELECTORS: list[tuple[str, bool]] = [
    ("", True),
    ("app=vllm", True),
    ("app==vllm,tier=gpu", True),
    ("app=other", False),
    ("app!=other", True),
    ("absent!=x", True),
    ("app in (vllm, other)", True),
    ("app in (other),tier=gpu", False),
    ("app notin (other)", True),
    ("absent notin (x)", True),
    ("tier", True),
    ("absent", False),
    ("!absent", True),
    ("!tier", False),
    ("example.dev/key=value", False),
]


@pytest.mark.parametrize(("selector", "matches"), [pytest.param(*case, id=case[0] or "empty") for case in SELECTORS])
def test_label_selectors(selector: str, matches: bool) -> None:
    assert label_selector(selector)(ITEM) is matches


async def test_a_list_is_selected_sorted_and_versioned(server: Serve) -> None:
    async with server() as call:
        for name, app in (("b", "x"), ("a", "x"), ("c", "y")):
            manifest = config_map(name)
            manifest["metadata"]["labels"] = {"app": app, "home": call.namespace}
            made = await call.create(manifest)
        answer = (await call("GET", CONFIG_MAPS, labelSelector="app=x")).body
        everywhere = (await call("GET", "/api/v1/configmaps", labelSelector=f"home={call.namespace}")).body
    assert [item["metadata"]["name"] for item in answer["items"]] == ["a", "b"]
    assert int(answer["metadata"]["resourceVersion"]) >= int(made["metadata"]["resourceVersion"])
    assert len(everywhere["items"]) == 3


async def test_items_of_built_in_lists_have_no_kind(server: Serve) -> None:
    async with server() as call:
        await call.create(secret("key"))
        await call.create(run_manifest())
        maps = (await call("GET", SECRETS)).body
        runs = (await call("GET", RUNS)).body
    assert maps["kind"] == "SecretList"
    assert "kind" not in maps["items"][0]
    assert runs["items"][0]["kind"] == "SelfRewardRun"


FIELDS: list[tuple[str, list[str] | int]] = [
    ("metadata.name=b", ["b"]),
    ("metadata.name!=b", ["a"]),
    ("status.phase=Pending,metadata.name=a", ["a"]),
    ("status.phase=Running", []),
    ("spec.image=x", 400),
    ("nonsense", 400),
]


@pytest.mark.parametrize(("selector", "expected"), [pytest.param(*case, id=case[0]) for case in FIELDS])
async def test_field_selectors(server: Serve, selector: str, expected: list[str] | int) -> None:
    async with server() as call:
        for name in "ab":
            await call.create(pod(name, schedulerName="nobody"))
        answer = await call("GET", PODS, fieldSelector=selector)
    if isinstance(expected, int):
        assert answer.code == expected
    else:
        assert [item["metadata"]["name"] for item in answer.body["items"]] == expected


async def test_chunks_are_of_one_moment(server: Serve) -> None:
    async with server() as call:
        for number in range(5):
            await call.create(secret(f"key-{number}"))
        first = (await call("GET", SECRETS, limit="2")).body
        await call.create(secret("key-9"))
        second = (await call("GET", SECRETS, limit="2", **{"continue": first["metadata"]["continue"]})).body
        third = (await call("GET", SECRETS, limit="2", **{"continue": second["metadata"]["continue"]})).body
    names = [item["metadata"]["name"] for page in (first, second, third) for item in page["items"]]
    assert names == [f"key-{number}" for number in range(5)]
    assert first["metadata"]["remainingItemCount"] == 3
    assert first["metadata"]["resourceVersion"] == third["metadata"]["resourceVersion"]
    assert "continue" not in third["metadata"]


async def test_what_a_selector_leaves_is_not_counted(server: Serve) -> None:
    async with server() as call:
        for number in range(3):
            await call.create(secret(f"key-{number}"))
        page = (await call("GET", SECRETS, limit="2", labelSelector="!absent")).body
    assert len(page["items"]) == 2
    assert page["metadata"]["continue"]
    assert "remainingItemCount" not in page["metadata"]


async def test_a_chunk_asked_for_too_late(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        for name in "abc":
            call.cluster.create(secret(name))
        first = (await call("GET", SECRETS, limit="2")).body
        call.cluster.create(secret("d"))
        call.cluster.compact()
        late = await call("GET", SECRETS, limit="2", **{"continue": first["metadata"]["continue"]})
    assert (late.code, late.reason) == (410, "Expired")


async def test_a_version_from_the_future_is_a_timeout(server: Serve) -> None:
    async with server() as call:
        answer = await call("GET", CONFIG_MAPS, resourceVersion="999999999")
        wrong = await call("GET", CONFIG_MAPS, resourceVersion="newest")
    assert (answer.code, answer.reason) == (504, "Timeout")
    assert wrong.code == 400


async def test_discovery(server: Serve) -> None:
    async with server() as call:
        ours = (await call("GET", "/apis/selfreward.dev/v1alpha1")).body["resources"]
        core = (await call("GET", "/api/v1")).body["resources"]
        version = (await call("GET", "/version")).body
    assert [resource["name"] for resource in ours] == ["selfrewardruns", "selfrewardruns/status"]
    assert ours[0]["shortNames"] == ["srr"]
    assert {"configmaps", "pods", "pods/log", "secrets"} <= {resource["name"] for resource in core}
    assert int(version["minor"]) >= 31


async def test_discovery_shows_what_is_installed(tmp_path: Path) -> None:
    async with calling(tmp_path, absent={"TrainJob", "TrainingRuntime", "ClusterTrainingRuntime"}) as call:
        groups = {group["name"] for group in (await call("GET", "/apis")).body["groups"]}
        absent = await call("GET", "/apis/trainer.kubeflow.org/v1alpha1")
        listed = await call("GET", "/apis/trainer.kubeflow.org/v1alpha1/trainjobs")
        call.cluster.install("TrainJob")
        installed = await call("GET", "/apis/trainer.kubeflow.org/v1alpha1/trainjobs")
    assert "kubeflow.org" in groups
    assert "trainer.kubeflow.org" not in groups
    assert (absent.code, listed.code, installed.code) == (404, 404, 200)


async def test_an_uninstalled_kind_takes_its_objects_along(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        call.cluster.create(run_manifest())
        call.cluster.uninstall("SelfRewardRun")
        gone = await call("GET", RUNS)
        call.cluster.install("SelfRewardRun")
        back = await call("GET", RUNS)
    assert gone.code == 404
    assert back.body["items"] == []
