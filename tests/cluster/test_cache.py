"""What is kept of the objects that watches and lists tell of."""

from __future__ import annotations

from typing import Any

import pytest
from selfreward.cluster.kubernetes import Cache
from selfreward.cluster.kubernetes.cache import slim
from selfreward.cluster.kubernetes.resources import JOBS, PODS
from selfreward.render.metadata import RUN_UID
from selfreward.render.resource import Resource
from selfreward.render.training import PYTORCHJOB

ENDED = {"name": "step", "imageID": "sha256:1", "state": {"terminated": {"exitCode": 0, "message": "{}"}}}


def item(version: int = 7, **content: Any) -> dict[str, Any]:
    """An object of a run, with what nobody reads."""
    metadata = {"name": "demo", "namespace": "default", "uid": "u1", "resourceVersion": str(version)}
    labels = {RUN_UID: "run"}
    owners = [{"uid": "run", "kind": "SelfRewardRun", "name": "demo"}]
    return {
        "metadata": metadata | {"labels": labels, "ownerReferences": owners, "managedFields": [{"manager": "kubelet"}]},
        **content,
    }


@pytest.mark.parametrize(
    ("resource", "content"),
    [
        pytest.param(JOBS, {"spec": {"parallelism": 2}, "status": {"active": 1}}, id="a Job"),
        pytest.param(PYTORCHJOB.resource, {"spec": {"runPolicy": {"suspend": True}}}, id="a suspended PyTorchJob"),
        pytest.param(
            PODS,
            {
                "spec": {"containers": [{"name": "step", "image": "a"}], "nodeName": "n"},
                "status": {"phase": "Succeeded", "conditions": [{"type": "Ready"}], "containerStatuses": [ENDED]},
            },
            id="an ended pod",
        ),
    ],
)
def test_what_is_slim_stays_as_it_is(resource: Resource, content: dict[str, Any]) -> None:
    once = slim(resource, item(**content))
    assert slim(resource, once) == once
    assert "managedFields" not in once["metadata"]
    assert once["metadata"]["ownerReferences"] == [{"uid": "run"}]


def test_of_a_pod_is_kept_how_it_ended() -> None:
    kept = slim(PODS, item(spec={"containers": []}, status={"phase": "Succeeded", "containerStatuses": [ENDED]}))
    assert kept["status"] == {
        "phase": "Succeeded",
        "containerStatuses": [{"name": "step", "state": ENDED["state"]}],
    }


def test_a_failed_pod_keeps_its_conditions() -> None:
    """Only they tell of an eviction."""
    conditions = [{"type": "DisruptionTarget", "status": "True"}]
    status = {"phase": "Failed", "conditions": conditions}
    assert slim(PODS, item(spec={"containers": []}, status=status))["status"] == status


def test_what_is_known_is_kept_once() -> None:
    cache = Cache()
    cache.put(JOBS, item(7))
    (known,) = cache.all(JOBS)
    assert cache.kept(JOBS, item(7)) is known
    assert cache.kept(JOBS, item(6)) is known
    assert cache.kept(JOBS, item(8)) is not known
