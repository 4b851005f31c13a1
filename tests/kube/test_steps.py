"""Simulated steps: the project's own manifests, run to real artifacts in a real store, in virtual time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from render.cases import workload
from selfreward.api import SelfRewardRun
from selfreward.plan import CreateServing, CreateStep, build_graph, serving_name, step_name
from selfreward.render import Images, key_secret, serving_manifests
from selfreward_steps.contract import InputRef, Progress, StepResult
from selfreward_steps.store import Store, open_store

from kube import Behaviour, Ending, FakeCluster
from kube.behaviour import StepPod
from kube.calls import run_manifest
from kube.simulators.conditions import is_true
from kube.spelling import expanded
from kube.storage import Object


class Walk:
    """A run on a cluster, and the manifests that an operator would create for it."""

    def __init__(self, cluster: FakeCluster, folder: Path, **spec: Any) -> None:
        self.cluster = cluster
        storage = {"uri": f"file://{folder}/store"}
        self.run = SelfRewardRun.model_validate(cluster.create(run_manifest(storage=storage, **spec)))
        self.graph = build_graph(self.run.spec)
        cluster.create(key_secret(self.run, "the key"))

    def start(self, key: str, attempt: int = 1, **digests: str) -> Object:
        """Create the workload of one step; `digests` pins inputs by role."""
        node = self.graph.node(key)
        shards = {artifact: other.shards for other in self.graph.nodes for artifact in other.outputs}
        inputs = {
            role: InputRef(artifact=artifact, digest=digests.get(role), shards=shards[artifact])
            for role, artifact in node.inputs.items()
        }
        create = CreateStep(step_name("demo", key, attempt), key, attempt, inputs)
        return self.cluster.create(workload(self.run, node, create, Images()))

    def store(self) -> Store:
        (pod, *_) = self.cluster.list("Pod")
        config = StepPod(pod, "Job").config
        assert config is not None
        return open_store(config["store"]["uri"])

    async def ends(self, item: Object, verdict: str = "Complete", timeout: float = 120) -> None:
        def is_over() -> bool:
            found = self.cluster.get(item["kind"], item["metadata"]["name"])
            return found is not None and is_true(found, verdict)

        await self.cluster.until(is_over, timeout)

    def results(self) -> list[StepResult]:
        """The termination messages of all pods."""
        ended = [pod["status"]["containerStatuses"][0]["state"]["terminated"] for pod in self.cluster.list("Pod")]
        return [StepResult.model_validate_json(each["message"]) for each in ended if "message" in each]


def alone() -> dict[str, Any]:
    """A spec whose graph has every kind of step."""
    data = {role: {"uri": f"file:///{role}.jsonl"} for role in ("instructions", "rankings")}
    return {"iterations": 1, "seedData": data, "serving": {"generationShards": 2, "parallelism": 2}}


async def test_a_step_commits_what_its_configuration_asks_for(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        walk = Walk(cluster, tmp_path, **alone())
        commits: list[str] = []
        cluster.after_commit.append(commits.append)
        await walk.ends(walk.start("import"))
        (result,) = walk.results()
        store = walk.store()
    assert (result.succeeded, result.reason) == (True, "Committed")
    assert sorted(result.outputs) == sorted(commits) == sorted(store.artifacts())
    assert all(store.verify(artifact) == [] for artifact in commits)


async def test_a_second_attempt_finds_the_work_done(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        walk = Walk(cluster, tmp_path, **alone())
        await walk.ends(walk.start("import"))
        await walk.ends(walk.start("import", attempt=2))
        first, second = walk.results()
    assert sorted([first.reason, second.reason]) == ["AlreadyCommitted", "Committed"]
    assert first.outputs == second.outputs


async def test_a_shard_of_judge_waits_for_its_shard_of_respond(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        walk = Walk(cluster, tmp_path, **alone())
        cluster.playbook.on(lambda pod: Behaviour(runs=30.0 * ((pod.shard or 0) + 1)), step="respond")
        for key in ("import", "sft-baseline", "eft", "sft", "prompts-1"):
            item = walk.start(key)
            await walk.ends(item, "Succeeded" if item["kind"] == "PyTorchJob" else "Complete")
        judge, respond = walk.start("judge-1"), walk.start("respond-1")
        await cluster.idle(45)
        store = walk.store()
        half = [name for name in store.artifacts() if "judgements" in name]
        await walk.ends(judge)
        await walk.ends(respond)
        judged = [name for name in store.artifacts() if "judgements" in name]
    assert [name[-5:] for name in half] == ["00000"]
    assert [name[-5:] for name in judged] == ["00000", "00001"]


async def test_a_step_without_its_inputs_fails_as_infrastructure(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        walk = Walk(cluster, tmp_path, **alone())
        await walk.ends(walk.start("eft"), "Failed")
        (result,) = walk.results()
    assert (result.reason, result.failure_class) == ("InputMissing", "Infrastructure")


async def test_a_step_given_another_input_fails_for_good(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        walk = Walk(cluster, tmp_path, **alone())
        await walk.ends(walk.start("import"))
        await walk.ends(walk.start("sft-baseline", model="sha256:" + "0" * 64), "Failed")
        failed = next(result for result in walk.results() if not result.succeeded)
    assert (failed.reason, failed.failure_class) == ("InputChanged", "Permanent")


async def test_only_rank_0_of_a_training_commits(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        walk = Walk(cluster, tmp_path, **alone(), training={"nodes": 2, "gpusPerNode": 0})
        await walk.ends(walk.start("import"))
        commits: list[str] = []
        cluster.after_commit.append(commits.append)
        await walk.ends(walk.start("sft-baseline"), "Succeeded")
    assert len(commits) == 1


FAILING: list[tuple[str, Behaviour, str]] = [
    ("application", Behaviour(exit_code=1), "Application"),
    ("configuration", Behaviour(exit_code=64, result_reason="DatasetInvalid"), "Permanent"),
    ("unavailable", Behaviour(exit_code=69), "Infrastructure"),
]


@pytest.mark.parametrize(("does", "failure"), [pytest.param(*case[1:], id=case[0]) for case in FAILING])
async def test_a_scripted_failure_reports_itself(tmp_path: Path, does: Behaviour, failure: str) -> None:
    async with FakeCluster(tmp_path) as cluster:
        walk = Walk(cluster, tmp_path, **alone())
        cluster.playbook.on(does, key="import")
        await walk.ends(walk.start("import"), "Failed")
        (result,) = walk.results()
        assert walk.store().artifacts() == []
    assert (result.reason, result.failure_class) == (does.result_reason, failure)


async def test_a_commit_may_come_before_a_bad_end(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        walk = Walk(cluster, tmp_path, **alone())
        does = Behaviour(ending=Ending.OOM_KILLED, commits=True, commits_after=3, runs=9)
        cluster.playbook.on(does, key="import", attempt=1)
        item = walk.start("import")
        await cluster.idle(6)
        assert walk.store().artifacts() != []
        await walk.ends(item, "Failed")


async def test_progress_is_printed_until_silence(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        walk = Walk(cluster, tmp_path, **alone())
        cluster.playbook.on(Behaviour(runs=100, silent_after=45, lines=((12, "a stray line"),)))
        walk.start("import")
        await cluster.idle(80)
        (pod,) = cluster.list("Pod")
        lines = [line.decode().strip() async for line in cluster.api.logs.read(pod, {})]
    assert lines[2] == "a stray line"
    progress = [Progress.model_validate_json(line) for line in lines if line.startswith("{")]
    assert [each.done for each in progress] == [0, 10, 20, 30, 40]
    assert all(each.total == 100 for each in progress)


async def test_rules_of_the_playbook(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        walk = Walk(cluster, tmp_path, **alone())
        cluster.playbook.on(Behaviour(exit_code=1), step="import")
        cluster.playbook.on(Behaviour(exit_code=69), key="import", times=1)
        for attempt in (1, 2):
            await walk.ends(walk.start("import", attempt=attempt), "Failed")
        codes = [
            pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] for pod in cluster.list("Pod")
        ]
        with pytest.raises(TypeError, match="a pod has no colour"):
            cluster.playbook.on(Behaviour(), colour="red")
    assert codes == [69, 1]


async def test_a_missing_secret_blocks_until_it_is_there(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        model = {"uri": "hf://owner/gated", "tokenSecretRef": {"name": "hub", "key": "token"}}
        walk = Walk(cluster, tmp_path, **alone(), model=model)
        item = walk.start("import")
        await cluster.idle(20)
        absent = cluster.list("Pod")[0]["status"]["containerStatuses"][0]["state"]["waiting"]
        cluster.create({"kind": "Secret", "metadata": {"name": "hub"}, "stringData": {"other": "x"}})
        await cluster.idle(20)
        keyless = cluster.list("Pod")[0]["status"]["containerStatuses"][0]["state"]["waiting"]
        cluster.edit("Secret", "hub", lambda secret: secret.update(stringData={"token": "x"}))
        await walk.ends(item)
    assert absent == {"reason": "CreateContainerConfigError", "message": 'secret "hub" not found'}
    assert keyless["message"] == "couldn't find key token in Secret default/hub"


async def test_a_missing_claim_keeps_the_pod_unscheduled(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        spec = {**alone(), "storage": {"uri": f"file://{tmp_path}/store", "claimName": "runs"}}
        run = SelfRewardRun.model_validate(cluster.create(run_manifest(**spec)))
        node = build_graph(run.spec).node("import")
        cluster.create(workload(run, node, CreateStep("demo-import-a1", "import", 1, {}), Images()))
        await cluster.idle(10)
        (pod,) = cluster.list("Pod")
    (condition,) = pod["status"]["conditions"]
    assert (condition["reason"], "runs" in condition["message"]) == ("Unschedulable", True)


async def test_a_server_of_ours_becomes_ready(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        walk = Walk(cluster, tmp_path, **alone())
        create = CreateServing(serving_name("demo", "m1", 1), "m1", 1, "sha256:" + "a" * 64)
        cluster.playbook.on(Behaviour(ready_after=120), model="m1")
        deployment, service = serving_manifests(walk.run, create, Images())
        cluster.create(deployment)
        cluster.create(service)
        await cluster.idle(60)
        assert len(cluster.gpu_pods()) == 1
        await walk.ends(deployment, "Available", timeout=100)
        assert cluster.warnings == []


EXPANSIONS = [("$(A)", "1"), ("$$(A)", "$(A)"), ("$(B)", "$(B)"), ("$A $", "$A $"), ("a$$b", "a$b"), ("$$$(A)", "$1")]


@pytest.mark.parametrize(("text", "seen"), [pytest.param(*case, id=case[0]) for case in EXPANSIONS])
def test_dollars(text: str, seen: str) -> None:
    assert expanded(text, {"A": "1"}) == seen


def test_the_configuration_is_what_the_container_sees() -> None:
    value = json.dumps({"text": "$$(HOME)"})
    pod = {"metadata": {}, "spec": {"containers": [{"env": [{"name": "SELFREWARD_CONFIG", "value": value}]}]}}
    assert StepPod(pod, "Job").config == {"text": "$(HOME)"}
