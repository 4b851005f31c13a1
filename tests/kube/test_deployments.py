"""Deployments: readiness, ReplicaSets between it and the pods, crash loops, deadlines and replacement."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from kube import Behaviour, Blocked, FakeCluster
from kube.simulators.conditions import is_true
from kube.storage import Object

LABELS = {"app": "server"}


def deployment(replicas: int = 1, image: str = "vllm:1", **spec: Any) -> dict[str, Any]:
    containers = [{"name": "server", "image": image}]
    init = [{"name": "fetch-model", "image": "judge:1"}]
    template = {"metadata": {"labels": LABELS}, "spec": {"initContainers": init, "containers": containers}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "server"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template, **spec},
    }


def the_deployment(cluster: FakeCluster) -> Object:
    found = cluster.get("Deployment", "server")
    assert found is not None
    return found


def available(cluster: FakeCluster) -> bool:
    return is_true(the_deployment(cluster), "Available")


async def test_a_server_becomes_ready(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(ready_after=30), kind="Deployment")
        cluster.create(deployment(replicas=2))
        await cluster.idle(20)
        loading, pods = the_deployment(cluster), cluster.list("Pod", labels="app=server")
        await cluster.until(lambda: available(cluster), timeout=60)
        ready = the_deployment(cluster)
        await cluster.idle(7200)
        assert available(cluster)
    assert loading["status"]["unavailableReplicas"] == 2
    assert [pod["status"]["phase"] for pod in pods] == ["Running", "Running"]
    assert [pod["status"]["containerStatuses"][0]["ready"] for pod in pods] == [False, False]
    assert [pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] for pod in pods] == [0, 0]
    assert ready["status"]["readyReplicas"] == 2
    assert ready["status"]["observedGeneration"] == 1


async def test_pods_belong_to_a_replica_set(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.create(deployment())
        await cluster.until(lambda: available(cluster))
        (pod,), (replica_set,) = cluster.list("Pod"), cluster.list("ReplicaSet")
        item = the_deployment(cluster)
    assert pod["metadata"]["ownerReferences"][0]["uid"] == replica_set["metadata"]["uid"]
    assert replica_set["metadata"]["ownerReferences"][0]["uid"] == item["metadata"]["uid"]
    assert pod["metadata"]["labels"]["pod-template-hash"]


async def test_a_crash_loop_backs_off(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(
            Behaviour(starts=0, runs=2, exit_code=1, message="CUDA out of memory", ready_after=math.inf)
        )
        cluster.create(deployment())
        await cluster.idle(60)
        (pod,) = cluster.list("Pod")
        assert not available(cluster)
    status = pod["status"]["containerStatuses"][0]
    # 2 s each, after 10, 20 and 40 s: at 60 s the third run is over.
    assert status["restartCount"] == 3
    assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert status["lastState"]["terminated"]["message"] == "CUDA out of memory"
    assert pod["status"]["phase"] == "Running"


async def test_a_model_that_cannot_be_fetched(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(init_exit_code=64, init_message="ArtifactCorrupt"))
        cluster.create(deployment())
        await cluster.idle(60)
        (pod,) = cluster.list("Pod")
    assert pod["status"]["phase"] == "Pending"
    assert pod["status"]["initContainerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"


async def test_too_slow_is_said_after_the_progress_deadline(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(blocked=Blocked.UNSCHEDULABLE))
        cluster.create(deployment(progressDeadlineSeconds=100))
        await cluster.idle(90)
        assert is_true(the_deployment(cluster), "Progressing")
        await cluster.idle(20)
        item = the_deployment(cluster)
    (progressing,) = [each for each in item["status"]["conditions"] if each["type"] == "Progressing"]
    assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")


async def test_recreate_waits_for_the_old_pods(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(stops_after=5))
        cluster.create(deployment(strategy={"type": "Recreate"}))
        await cluster.until(lambda: available(cluster))
        images: list[set[str]] = []

        def replaced() -> bool:
            images.append({pod["spec"]["containers"][0]["image"] for pod in cluster.list("Pod")})
            return images[-1] == {"vllm:2"} and available(cluster)

        def upgrade(item: Object) -> None:
            item["spec"]["template"]["spec"]["containers"][0]["image"] = "vllm:2"

        cluster.edit("Deployment", "server", upgrade)
        await cluster.until(replaced, timeout=60)
        await cluster.idle(2)
        assert len(cluster.list("ReplicaSet")) == 1
    assert {"vllm:1", "vllm:2"} not in images
    assert set() in images


async def test_a_lost_pod_is_replaced(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.create(deployment())
        await cluster.until(lambda: available(cluster))
        (first,) = cluster.list("Pod")
        cluster.delete("Pod", first["metadata"]["name"])
        await cluster.until(lambda: not available(cluster))
        await cluster.until(lambda: available(cluster))
        names = [pod["metadata"]["name"] for pod in cluster.list("Pod")]
    assert first["metadata"]["name"] not in names


async def test_deletion_takes_the_pods_along(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.create(deployment(replicas=2))
        await cluster.until(lambda: available(cluster))
        cluster.delete("Deployment", "server")
        await cluster.idle(5)
        assert cluster.list("Pod") == []
        assert cluster.list("ReplicaSet") == []
