"""Defaults of the operator's owner: what a run leaves out it gets, what it says stays, and its pods show it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from control.bench import bench, small_manifest
from render.cases import run_of
from selfreward.api import Phase, SelfRewardRun, Workloads
from selfreward.control.defaults import RunDefaults, read_workloads
from selfreward.control.settings import Settings, read_settings
from selfreward.render.metadata import QUEUE

GPU_POOL = {
    "nodeSelector": {"pool": "gpu"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    "imagePullSecrets": ["mirror"],
    "image": "mirror/trainer@sha256:1",
    "resources": {"limits": {"memory": "64Gi"}},
}


def defaults(training: dict[str, Any], queue: str | None = None) -> RunDefaults:
    return RunDefaults(queue=queue, workloads=read_workloads(json.dumps({"training": training})))


def with_labels(run: SelfRewardRun, labels: dict[str, str]) -> SelfRewardRun:
    return run.model_copy(update={"metadata": run.metadata.model_copy(update={"labels": labels})})


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param({}, GPU_POOL, id="nothing"),
        pytest.param({"nodeSelector": {}, "tolerations": []}, GPU_POOL, id="what the CRD fills in"),
        pytest.param({"nodeSelector": {"pool": "b"}}, GPU_POOL | {"nodeSelector": {"pool": "b"}}, id="a field"),
        pytest.param({"image": "mine"}, GPU_POOL | {"image": "mine"}, id="its image"),
        pytest.param(
            {"resources": {"requests": {"cpu": "4"}}},
            GPU_POOL | {"resources": {"requests": {"cpu": "4"}}},
            id="not merged: a limit of another's would lie below the request",
        ),
        pytest.param({"priorityClassName": "low"}, GPU_POOL | {"priorityClassName": "low"}, id="beside them"),
    ],
)
def test_a_run_says_what_it_needs_and_gets_the_rest(said: dict[str, Any], expected: dict[str, Any]) -> None:
    run = run_of(workloads={"training": said})
    completed = defaults(GPU_POOL).completed(run)
    assert completed.spec.workloads == Workloads.model_validate({"training": expected})
    assert completed.spec.model_copy(update={"workloads": run.spec.workloads}) == run.spec


def test_without_defaults_it_is_the_very_run() -> None:
    run = run_of()
    assert RunDefaults().completed(run) is run


@pytest.mark.parametrize(
    ("labels", "queue"),
    [
        pytest.param({}, "research", id="default"),
        pytest.param({QUEUE: "mine"}, "mine", id="its own"),
        pytest.param({QUEUE: ""}, "", id="none, please"),
    ],
)
def test_the_queue_is_the_run_s_label_where_it_has_one(labels: dict[str, str], queue: str) -> None:
    completed = RunDefaults(queue="research").completed(with_labels(run_of(), labels))
    assert completed.metadata.labels[QUEUE] == queue


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--workloads={", "is no JSON"),
        ('--workloads={"trainer": {}}', "trainer"),
        ('--workloads={"training": {"resources": {"limits": {"cpu": "many"}}}}', "training.resources.limits.cpu"),
        ('--workloads={"training": {"terminationGracePeriodSeconds": 5}}', "has no default but the resource's own"),
        ("--log-level=loud", "must be debug, info, warning or error"),
        ("--log-format=xml", "must be json or text"),
        ("--run-series=-1", "must be a whole number of at least 0"),
    ],
)
def test_a_setting_that_is_wrong_ends_the_process_with_a_line(
    flag: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings([flag], {})
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


async def test_the_pods_of_a_run_show_the_defaults_and_its_resource_does_not(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.settings = Settings(workers=4, defaults=defaults({"nodeSelector": {"pool": "gpu"}}, queue="research"))
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        assert (await made.finished()).phase is Phase.SUCCEEDED
        (training,) = made.cluster.list("PyTorchJob")
        (written,) = made.cluster.list("SelfRewardRun")
    pod = training["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]
    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert training["metadata"]["labels"][QUEUE] == "research"
    assert QUEUE not in written["metadata"].get("labels", {})
    assert "pool" not in json.dumps(written["spec"])
