"""PyTorchJobs with v1.9.4's habits, and TrainJobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kube import Behaviour, Ending, FakeCluster
from kube.calls import PYTORCH_JOBS, calling
from kube.simulators.conditions import is_true
from kube.storage import Object

TEMPLATE = {"spec": {"containers": [{"name": "pytorch", "image": "trainer:1"}]}}


def replica(count: int = 1) -> dict[str, Any]:
    return {"replicas": count, "restartPolicy": "Never", "template": TEMPLATE}


def pytorch_job(workers: int = 0, **policy: Any) -> dict[str, Any]:
    """The two shapes of the project: Master only, or elastic workers only."""
    spec: dict[str, Any] = {"runPolicy": {"cleanPodPolicy": "Running", "backoffLimit": 0, **policy}}
    if workers:
        spec["elasticPolicy"] = {"minReplicas": workers, "maxReplicas": workers, "maxRestarts": 0}
        spec["pytorchReplicaSpecs"] = {"Worker": replica(workers)}
    else:
        spec["pytorchReplicaSpecs"] = {"Master": replica()}
    return {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": "train"}, "spec": spec}


def the_job(cluster: FakeCluster, kind: str = "PyTorchJob") -> Object:
    found = cluster.get(kind, "train")
    assert found is not None
    return found


def names(cluster: FakeCluster, kind: str) -> list[str]:
    return [item["metadata"]["name"] for item in cluster.list(kind, "default")]


async def ended(cluster: FakeCluster, verdict: str, kind: str = "PyTorchJob") -> Object:
    await cluster.until(lambda: is_true(the_job(cluster, kind), verdict), timeout=120)
    return the_job(cluster, kind)


async def test_a_master_alone_succeeds(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(runs=20))
        cluster.create(pytorch_job())
        await cluster.until(lambda: is_true(the_job(cluster), "Running"))
        assert (names(cluster, "Pod"), names(cluster, "Service")) == (["train-master-0"], ["train-master-0"])
        done = await ended(cluster, "Succeeded")
        (pod,) = cluster.list("Pod")
    assert not is_true(done, "Running")
    assert done["status"]["replicaStatuses"] == {"Master": {"succeeded": 1}}
    assert pod["metadata"]["labels"]["training.kubeflow.org/job-role"] == "master"
    env = {entry["name"]: entry["value"] for entry in pod["spec"]["containers"][0]["env"]}
    assert (env["MASTER_ADDR"], env["PET_NNODES"]) == ("train-master-0", "1")


async def test_the_first_worker_to_succeed_ends_the_others(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(runs=500), rank=1)
        cluster.playbook.on(Behaviour(runs=10), rank=0)
        cluster.create(pytorch_job(workers=2))
        await ended(cluster, "Succeeded")
        await cluster.idle(10)
        assert names(cluster, "Pod") == ["train-worker-0"]  # worker 1 was removed in the middle of its work


async def test_failed_although_every_rank_was_done(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        # Worker 0 takes the rendezvous with it, so worker 1's agent ends with 1 after its work was done.
        cluster.playbook.on(Behaviour(runs=10, exit_code=1), rank=1)
        cluster.playbook.on(Behaviour(runs=10.5), rank=0)
        cluster.create(pytorch_job(workers=2))
        await ended(cluster, "Failed")
        await cluster.idle(30)
        assert not is_true(the_job(cluster), "Succeeded")


async def test_its_deadline_does_not_fire_on_a_hang(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(ending=Ending.HANG))
        cluster.create(pytorch_job(activeDeadlineSeconds=60))
        await cluster.idle(3600)
        assert is_true(the_job(cluster), "Running")
        (pod,) = cluster.list("Pod")
        cluster.edit("Pod", pod["metadata"]["name"], lambda item: item["metadata"]["labels"].update(touched="yes"))
        await ended(cluster, "Failed")  # any event will do


async def test_suspension_removes_pods_and_services(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(runs=30))
        cluster.create(pytorch_job(workers=2))
        await cluster.idle(5)
        cluster.edit("PyTorchJob", "train", lambda item: item["spec"]["runPolicy"].update(suspend=True))
        await cluster.idle(5)
        suspended = the_job(cluster)
        assert (names(cluster, "Pod"), names(cluster, "Service")) == ([], [])
        cluster.edit("PyTorchJob", "train", lambda item: item["spec"]["runPolicy"].update(suspend=False))
        done = await ended(cluster, "Succeeded")
    assert is_true(suspended, "Suspended")
    assert not is_true(suspended, "Running")
    assert not is_true(done, "Suspended")


async def test_nothing_keeps_a_finished_master_by_default(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(runs=500), rank=1)
        cluster.playbook.on(Behaviour(runs=5, exit_code=1), rank=0)
        manifest = pytorch_job(workers=2)
        del manifest["spec"]["runPolicy"]["cleanPodPolicy"]
        cluster.create(manifest)
        await ended(cluster, "Failed")
        await cluster.idle(60)
        assert len(cluster.list("Pod")) == 2  # the other worker keeps its GPU


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("role", {"Chief": replica()}, "must be Master or Worker"),
    ("two masters", {"Master": replica(2)}, "must be 1"),
    ("no master count", {"Master": {"template": TEMPLATE}}, "must be 1"),
    ("container", {"Worker": {"replicas": 1, "template": {"spec": {"containers": [{"name": "x"}]}}}}, "name pytorch"),
]


@pytest.mark.parametrize(("replicas", "text"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
async def test_the_webhook_refuses(tmp_path: Path, replicas: dict[str, Any], text: str) -> None:
    async with calling(tmp_path) as call:
        manifest = pytorch_job()
        manifest["spec"]["pytorchReplicaSpecs"] = replicas
        answer = await call("POST", PYTORCH_JOBS, manifest)
    assert answer.code == 403
    assert text in answer.message


async def test_a_webhook_that_is_down(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        call.cluster.training_operator_down = True
        down = await call("POST", PYTORCH_JOBS, pytorch_job())
        call.cluster.training_operator_down = False
        up = await call("POST", PYTORCH_JOBS, pytorch_job())
    assert (down.code, up.code) == (500, 201)
    assert "failed calling webhook" in down.message


def runtime() -> dict[str, Any]:
    containers = [{"name": "node", "image": "default"}]
    template = {"metadata": {"labels": {"from": "runtime"}}, "spec": {"containers": containers}}
    replicated = {"name": "node", "template": {"spec": {"template": template}}}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainingRuntime",
        "metadata": {"name": "selfreward"},
        "spec": {"template": {"spec": {"replicatedJobs": [replicated]}}},
    }


def train_job(**spec: Any) -> dict[str, Any]:
    reference = {"name": "selfreward", "kind": "TrainingRuntime"}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": "train"},
        "spec": {"runtimeRef": reference, "trainer": {"image": "trainer:1", "numNodes": 2}, **spec},
    }


async def test_a_train_job_completes_when_every_node_has(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(runs=5), rank=0)
        cluster.playbook.on(Behaviour(runs=20), rank=1)
        cluster.create(runtime())
        labels = {"metadata": {"labels": {"selfreward.dev/key": "dpo-1"}}}
        job_patch = {"name": "node", "template": {"spec": {"template": labels}}}
        patch = {"trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [job_patch]}}}}
        cluster.create(train_job(runtimePatches=[{"manager": "selfreward", **patch}]))
        await cluster.idle(12)
        half = the_job(cluster, "TrainJob")
        done = await ended(cluster, "Complete", "TrainJob")
        pod = cluster.list("Pod")[0]
    assert not is_true(half, "Complete")
    assert half["status"]["jobsStatus"][0]["succeeded"] == 1
    assert done["status"]["jobsStatus"][0]["succeeded"] == 2
    assert pod["metadata"]["name"] == "train-node-0-0"
    assert pod["metadata"]["labels"]["from"] == "runtime"
    assert pod["metadata"]["labels"]["selfreward.dev/key"] == "dpo-1"
    assert pod["spec"]["containers"][0]["image"] == "trainer:1"


FAILURES: list[tuple[str, Behaviour, dict[str, Any], str]] = [
    ("exit", Behaviour(exit_code=1), {}, "FailedJobs"),
    ("deadline", Behaviour(ending=Ending.HANG), {"activeDeadlineSeconds": 30}, "DeadlineExceeded"),
    ("runtime", Behaviour(), {"runtimeRef": {"name": "absent"}}, "TrainingRuntimeNotSupported"),
]


@pytest.mark.parametrize(("does", "spec", "reason"), [pytest.param(*case[1:], id=case[0]) for case in FAILURES])
async def test_a_train_job_fails(tmp_path: Path, does: Behaviour, spec: dict[str, Any], reason: str) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(does)
        cluster.create(runtime())
        cluster.create(train_job(**spec))
        done = await ended(cluster, "Failed", "TrainJob")
    assert [each["reason"] for each in done["status"]["conditions"] if each["type"] == "Failed"] == [reason]


async def test_a_train_job_is_suspended_and_resumed(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(runs=20))
        cluster.create(runtime())
        cluster.create(train_job(suspend=True))
        await cluster.idle(10)
        assert cluster.list("Pod") == []
        assert is_true(the_job(cluster, "TrainJob"), "Suspended")
        cluster.edit("TrainJob", "train", lambda item: item["spec"].update(suspend=False))
        await ended(cluster, "Complete", "TrainJob")


async def test_a_cluster_without_the_trainer(tmp_path: Path) -> None:
    async with calling(tmp_path, absent={"PyTorchJob"}) as call:
        before = await call("POST", PYTORCH_JOBS, pytorch_job())
        call.cluster.install("PyTorchJob")
        after = await call("POST", PYTORCH_JOBS, pytorch_job())
    assert (before.code, after.code) == (404, 201)
