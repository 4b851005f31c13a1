"""Jobs: completion, indexes, parallelism, policies, retries, suspension, deadline, and what pods leave behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kube import Behaviour, Blocked, Ending, FakeCluster
from kube.calls import job, pod_spec
from kube.simulators.conditions import is_true
from kube.simulators.jobs import _ranges
from kube.storage import Object


def the_job(cluster: FakeCluster, name: str = "job") -> Object:
    found = cluster.get("Job", name)
    assert found is not None
    return found


def condition(item: Object, type_: str) -> dict[str, Any]:
    return next(each for each in item["status"]["conditions"] if each["type"] == type_)


async def finished(cluster: FakeCluster, verdict: str, timeout: float = 600) -> Object:
    await cluster.until(lambda: is_true(the_job(cluster), verdict), timeout)
    return the_job(cluster)


async def test_a_job_completes(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(starts=2, runs=5, message="done"))
        cluster.create(job())
        await cluster.until(lambda: the_job(cluster).get("status", {}).get("active") == 1)
        done = await finished(cluster, "Complete")
        (pod,) = cluster.list("Pod")
    assert done["status"]["succeeded"] == 1
    assert "active" not in done["status"]
    assert condition(done, "SuccessCriteriaMet")["reason"] == "CompletionsReached"
    assert pod["status"]["phase"] == "Succeeded"
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["message"], ended["reason"]) == (0, "done", "Completed")
    assert (ended["startedAt"], ended["finishedAt"]) == ("2026-01-01T00:00:02Z", "2026-01-01T00:00:07Z")
    assert "finalizers" not in pod["metadata"]


def indexed(completions: int, parallelism: int, **spec: Any) -> dict[str, Any]:
    return job(completionMode="Indexed", completions=completions, parallelism=parallelism, **spec)


async def test_an_indexed_job_keeps_its_parallelism(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.create(indexed(6, 2))
        most = 0

        def is_done() -> bool:
            nonlocal most
            running = [pod for pod in cluster.list("Pod") if pod["status"].get("phase") in ("Pending", "Running")]
            most = max(most, len(running))
            return is_true(the_job(cluster), "Complete")

        await cluster.until(is_done)
        pods = cluster.list("Pod")
        done = the_job(cluster)
    assert most == 2
    assert done["status"]["completedIndexes"] == "0-5"
    indexes = [pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] for pod in pods]
    assert sorted(indexes) == list("012345")
    env = {entry["name"]: entry["value"] for entry in pods[0]["spec"]["containers"][0]["env"]}
    assert env["JOB_COMPLETION_INDEX"] == indexes[0]
    assert pods[0]["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "job"


async def test_a_failed_index_fails_the_job_when_the_others_are_done(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(exit_code=1), shard=1)
        cluster.create(indexed(3, 3, backoffLimitPerIndex=1))
        done = await finished(cluster, "Failed")
        attempts = len(cluster.list("Pod"))
    assert condition(done, "Failed")["reason"] == "FailedIndexes"
    assert (done["status"]["completedIndexes"], done["status"]["failedIndexes"]) == ("0,2", "1")
    assert attempts == 4  # index 1 twice


POLICY = {
    "rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "step", "operator": "In", "values": [64]}},
    ]
}


async def test_exit_code_64_fails_the_whole_job_at_once(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(runs=300))
        cluster.playbook.on(Behaviour(exit_code=64), shard=0)
        cluster.create(indexed(3, 3, backoffLimitPerIndex=5, podFailurePolicy=POLICY))
        done = await finished(cluster, "Failed", timeout=60)
        phases = sorted(pod["status"]["phase"] for pod in cluster.list("Pod"))
    assert condition(done, "Failed")["reason"] == "PodFailurePolicy"
    assert "exit code 64" in condition(done, "Failed")["message"]
    assert phases == ["Failed"]  # the others were stopped and removed


@pytest.mark.parametrize("ending", [Ending.EVICTED, Ending.PREEMPTED, Ending.NODE_LOST])
async def test_a_disruption_is_replaced_and_not_counted(tmp_path: Path, ending: Ending) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(ending=ending, runs=3), times=1)
        cluster.create(indexed(1, 1, backoffLimitPerIndex=0, podFailurePolicy=POLICY))
        done = await finished(cluster, "Complete")
    assert done["status"]["succeeded"] == 1
    assert "failed" not in done["status"]


async def test_back_off_doubles_and_ends(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(exit_code=1, starts=0, runs=1))
        cluster.create(job(backoffLimit=2))
        done = await finished(cluster, "Failed")
        starts = sorted(pod["metadata"]["creationTimestamp"] for pod in cluster.list("Pod"))
    assert condition(done, "Failed")["reason"] == "BackoffLimitExceeded"
    assert done["status"]["failed"] == 3
    assert [int(text[-3:-1]) for text in starts] == [0, 11, 32]


async def test_suspension_removes_pods_and_resumption_starts_again(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(runs=20))
        cluster.create(job())
        await cluster.idle(5)
        cluster.edit("Job", "job", lambda item: item["spec"].update(suspend=True))
        await cluster.idle(5)
        suspended, pods = the_job(cluster), cluster.list("Pod")
        cluster.edit("Job", "job", lambda item: item["spec"].update(suspend=False))
        done = await finished(cluster, "Complete")
    assert is_true(suspended, "Suspended")
    assert "startTime" not in suspended["status"]
    assert pods == []
    assert condition(done, "Suspended")["reason"] == "JobResumed"


async def test_a_deadline_ends_a_hang(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(ending=Ending.HANG))
        cluster.create(job(activeDeadlineSeconds=30))
        done = await finished(cluster, "Failed", timeout=40)
    assert condition(done, "Failed")["reason"] == "DeadlineExceeded"


async def test_a_finished_job_can_expire(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.create(job(ttlSecondsAfterFinished=50))
        await finished(cluster, "Complete")
        await cluster.idle(40)
        assert cluster.get("Job", "job") is not None
        await cluster.idle(20)
        assert cluster.get("Job", "job") is None
        assert cluster.list("Pod") == []


async def test_a_deleted_job_takes_its_pods_with_it(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(runs=1000, stops_after=3))
        cluster.create(job())
        await cluster.idle(5)
        cluster.delete("Job", "job")
        await cluster.idle(2)
        stopping = cluster.list("Pod")
        await cluster.idle(5)
        assert cluster.list("Pod") == []
    assert stopping[0]["metadata"]["deletionTimestamp"]


async def test_a_stubborn_container_is_killed_at_the_end_of_its_grace(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(runs=1000, stops_after=999))
        cluster.create(job(template={"spec": pod_spec(terminationGracePeriodSeconds=10)}))
        await cluster.idle(5)
        cluster.delete("Job", "job")
        await cluster.idle(9)
        assert len(cluster.list("Pod")) == 1
        await cluster.idle(3)
        assert cluster.list("Pod") == []


BLOCKED: list[tuple[Blocked, str, str]] = [
    (Blocked.UNSCHEDULABLE, "", "Insufficient nvidia.com/gpu"),
    (Blocked.IMAGE_PULL, "ImagePullBackOff", "example/step:1"),
    (Blocked.INVALID_IMAGE, "InvalidImageName", "example/step:1"),
    (Blocked.CONFIG_ERROR, "CreateContainerConfigError", "secret"),
    (Blocked.CREATING, "ContainerCreating", ""),
]


@pytest.mark.parametrize(("blocked", "reason", "text"), [pytest.param(*case, id=case[0].value) for case in BLOCKED])
async def test_a_pod_that_cannot_start_says_why(tmp_path: Path, blocked: Blocked, reason: str, text: str) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(Behaviour(blocked=blocked, blocked_for=60))
        cluster.create(job())
        await cluster.idle(30)
        (pod,) = cluster.list("Pod")
        await finished(cluster, "Complete")
    assert pod["status"]["phase"] == "Pending"
    if blocked is Blocked.UNSCHEDULABLE:
        (scheduled,) = pod["status"]["conditions"]
        assert (scheduled["status"], scheduled["reason"]) == ("False", "Unschedulable")
        assert text in scheduled["message"]
        assert "nodeName" not in pod["spec"]
    else:
        waiting = pod["status"]["containerStatuses"][0]["state"]["waiting"]
        assert waiting["reason"] == reason
        assert text in waiting.get("message", "")


ENDINGS: list[tuple[Behaviour, int, str, str]] = [
    (Behaviour(exit_code=3, message="why"), 3, "Error", ""),
    (Behaviour(ending=Ending.OOM_KILLED), 137, "OOMKilled", ""),
    (Behaviour(ending=Ending.EVICTED), 137, "Error", "Evicted"),
]


@pytest.mark.parametrize(
    ("behaviour", "code", "reason", "pod_reason"), [pytest.param(*case, id=case[0].ending) for case in ENDINGS]
)
async def test_how_a_pod_ends(tmp_path: Path, behaviour: Behaviour, code: int, reason: str, pod_reason: str) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(behaviour)
        cluster.create(job(backoffLimit=0))
        await finished(cluster, "Failed")
        (pod,) = cluster.list("Pod")
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (code, reason)
    assert ended.get("message") == behaviour.message
    assert pod["status"].get("reason", "") == pod_reason


async def test_gpus_are_held_from_binding_to_the_end(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        container = {"name": "step", "image": "x", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
        cluster.create(job(template={"spec": pod_spec(containers=[container])}))
        await cluster.idle(0.5)
        assert len(cluster.gpu_pods()) == 1
        await finished(cluster, "Complete")
        assert cluster.gpu_pods() == []


RANGES = [(set(), ""), ({1}, "1"), ({0, 1}, "0,1"), ({0, 1, 2, 5}, "0-2,5"), ({3, 5, 7, 8, 9}, "3,5,7-9")]


@pytest.mark.parametrize(("indexes", "text"), [pytest.param(*case, id=case[1] or "none") for case in RANGES])
def test_index_ranges(indexes: set[int], text: str) -> None:
    assert _ranges(indexes) == text
