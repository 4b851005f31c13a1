"""Lists: selectors, chunks, resource versions; and discovery."""

from __future__ import annotations

from pathlib import Path

import pytest

from kube.calls import CONFIG_MAPS, PODS, RUNS, calling, config_map, pod, run_manifest
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


async def test_a_list_is_selected_sorted_and_versioned(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        for name, app in (("b", "x"), ("a", "x"), ("c", "y")):
            manifest = config_map(name)
            manifest["metadata"]["labels"] = {"app": app}
            call.cluster.create(manifest)
        answer = (await call("GET", CONFIG_MAPS, labelSelector="app=x")).body
        everywhere = (await call("GET", "/api/v1/configmaps")).body
        version = call.cluster.api.storage.revision
    assert [item["metadata"]["name"] for item in answer["items"]] == ["a", "b"]
    assert answer["metadata"]["resourceVersion"] == str(version)
    assert len(everywhere["items"]) == 3


async def test_items_of_built_in_lists_have_no_kind(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        call.cluster.create(config_map())
        call.cluster.create(run_manifest())
        maps = (await call("GET", CONFIG_MAPS)).body
        runs = (await call("GET", RUNS)).body
    assert maps["kind"] == "ConfigMapList"
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
async def test_field_selectors(tmp_path: Path, selector: str, expected: list[str] | int) -> None:
    async with calling(tmp_path) as call:
        for name in "ab":
            call.cluster.create(pod(name))
        answer = await call("GET", PODS, fieldSelector=selector)
    if isinstance(expected, int):
        assert answer.code == expected
    else:
        assert [item["metadata"]["name"] for item in answer.body["items"]] == expected


async def test_chunks_are_of_one_moment(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        for number in range(5):
            call.cluster.create(config_map(f"map-{number}"))
        first = (await call("GET", CONFIG_MAPS, limit="2")).body
        call.cluster.create(config_map("map-9"))
        second = (await call("GET", CONFIG_MAPS, limit="2", **{"continue": first["metadata"]["continue"]})).body
        third = (await call("GET", CONFIG_MAPS, limit="2", **{"continue": second["metadata"]["continue"]})).body
        call.cluster.compact()
        late = await call("GET", CONFIG_MAPS, limit="2", **{"continue": second["metadata"]["continue"]})
    names = [item["metadata"]["name"] for page in (first, second, third) for item in page["items"]]
    assert names == [f"map-{number}" for number in range(5)]
    assert first["metadata"]["remainingItemCount"] == 3
    assert first["metadata"]["resourceVersion"] == third["metadata"]["resourceVersion"]
    assert "continue" not in third["metadata"]
    assert (late.code, late.reason) == (410, "Expired")


async def test_a_version_from_the_future_is_a_timeout(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        answer = await call("GET", CONFIG_MAPS, resourceVersion="999999")
        wrong = await call("GET", CONFIG_MAPS, resourceVersion="newest")
    assert (answer.code, answer.reason) == (504, "Timeout")
    assert wrong.code == 400


async def test_discovery_shows_what_is_installed(tmp_path: Path) -> None:
    async with calling(tmp_path, absent={"TrainJob", "TrainingRuntime", "ClusterTrainingRuntime"}) as call:
        groups = {group["name"] for group in (await call("GET", "/apis")).body["groups"]}
        ours = (await call("GET", "/apis/selfreward.dev/v1alpha1")).body["resources"]
        absent = await call("GET", "/apis/trainer.kubeflow.org/v1alpha1")
        listed = await call("GET", "/apis/trainer.kubeflow.org/v1alpha1/trainjobs")
        call.cluster.install("TrainJob")
        installed = await call("GET", "/apis/trainer.kubeflow.org/v1alpha1/trainjobs")
        version = (await call("GET", "/version")).body
        core = (await call("GET", "/api/v1")).body["resources"]
    assert "kubeflow.org" in groups
    assert "trainer.kubeflow.org" not in groups
    assert (absent.code, listed.code, installed.code) == (404, 404, 200)
    assert [resource["name"] for resource in ours] == ["selfrewardruns", "selfrewardruns/status"]
    assert ours[0]["shortNames"] == ["srr"]
    assert version["minor"] == "36"
    assert "pods/log" in {resource["name"] for resource in core}


async def test_an_uninstalled_kind_takes_its_objects_along(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        call.cluster.create(run_manifest())
        call.cluster.uninstall("SelfRewardRun")
        gone = await call("GET", RUNS)
        call.cluster.install("SelfRewardRun")
        back = await call("GET", RUNS)
    assert gone.code == 404
    assert back.body["items"] == []
