"""Which resource runs training, and what is said when none can."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kube import FakeCluster
from render.cases import create_step, run_of
from selfreward.api import TrainingBackend
from selfreward.cluster.kubernetes import Cache, KubernetesClient, KubernetesCluster, Refused
from selfreward.cluster.kubernetes.resources import resource_of
from selfreward.cluster.kubernetes.training import cautions, choose
from selfreward.cluster.kubernetes.verdicts import Verdict, verdict_of
from selfreward.cluster.local import LocalCluster
from selfreward.plan import ChildKind, build_graph
from selfreward.plan.types import EventReason
from selfreward.render import Images, training_manifests
from selfreward.render.resource import Resource
from selfreward.render.training import BACKENDS, PYTORCHJOB, TRAINJOB, Backend
from selfreward_steps.store import open_store

PYTORCH_JOBS, TRAIN_JOBS = PYTORCHJOB.resource, TRAINJOB.resource
BOTH = (PYTORCH_JOBS, TRAIN_JOBS)


@pytest.mark.parametrize(
    ("wanted", "served", "kind"),
    [
        pytest.param("auto", BOTH, "PyTorchJob", id="either"),
        pytest.param("auto", [TRAIN_JOBS], "TrainJob", id="what there is"),
        pytest.param("trainjob", BOTH, "TrainJob", id="what is asked for"),
        pytest.param("pytorchjob", BOTH, "PyTorchJob", id="what is asked for, v1"),
    ],
)
def test_the_backend(wanted: str, served: Collection[Resource], kind: str) -> None:
    assert choose(TrainingBackend(wanted), served).resource.kind == kind


@pytest.mark.parametrize(
    ("wanted", "served", "words"),
    [
        ("auto", [], "spec.training.backend: auto: the cluster serves neither PyTorchJob nor TrainJob"),
        ("trainjob", [PYTORCH_JOBS], "spec.training.backend: trainjob: the cluster does not serve TrainJob: install"),
        ("pytorchjob", [TRAIN_JOBS], "spec.training.backend: pytorchjob: the cluster does not serve PyTorchJob"),
    ],
)
def test_no_backend(wanted: str, served: Collection[Resource], words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        choose(TrainingBackend(wanted), served)
    assert refused.value.reason == "TrainingOperatorMissing"


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_trainjob_does_what_the_pytorchjob_does(nodes: int) -> None:
    run = run_of(training={"nodes": nodes, "processesPerNode": 8})
    node, create = create_step(run, "dpo-1")
    (pytorch,) = training_manifests(run, node, create, Images(), PYTORCHJOB)
    runtime, job = training_manifests(run, node, create, Images(), TRAINJOB)
    (replicas,) = pytorch["spec"]["pytorchReplicaSpecs"].values()
    (replicated,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    template, same = replicated["template"]["spec"]["template"], replicas["template"]
    assert template["metadata"] == same["metadata"]
    assert {**template["spec"]["containers"][0], "name": ""} == {**same["spec"]["containers"][0], "name": ""}
    assert replicated["template"]["spec"]["backoffLimit"] == 0, "attempts are the operator's"
    assert runtime["metadata"] == job["metadata"] == pytorch["metadata"]
    assert job["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"]
    assert job["spec"]["trainer"] == {"numNodes": nodes, "numProcPerNode": 8}
    assert runtime["spec"]["mlPolicy"] == {"numNodes": nodes, "torch": {}}, "Trainer 2.3 refuses numProcPerNode here"


def test_every_backend_that_a_user_can_name_is_in_the_registry() -> None:
    named = {TrainingBackend(each) for each in TrainingBackend} - {TrainingBackend.AUTO}
    assert [backend.name for backend in BACKENDS] == [TrainingBackend.PYTORCHJOB, TrainingBackend.TRAINJOB]
    assert {backend.name for backend in BACKENDS} == named


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_a_backend_knows_its_objects_and_the_word_for_success(backend: Backend) -> None:
    run = run_of()
    *others, job = training_manifests(run, *create_step(run, "dpo-1"), Images(), backend)
    assert resource_of(job) == backend.resource
    assert tuple(resource_of(each) for each in others) == backend.brings
    ended = {"type": backend.succeeded, "status": "True", "message": "well"}
    assert verdict_of({**job, "status": {"conditions": [ended]}}) == Verdict(True, "well")
    failed = {"type": "Failed", "status": "True", "message": "not so"}
    assert verdict_of({**job, "status": {"conditions": [ended, failed]}}) == Verdict(False, "not so")
    assert verdict_of(job) is None


async def test_one_child_an_attempt_whatever_the_cluster_serves_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    run = run_of(storage={"uri": f"file://{tmp_path}/store"})
    metadata = run.metadata.model_copy(update={"namespace": "default"})
    run = run.model_copy(update={"metadata": metadata})
    async with FakeCluster(tmp_path, controllers=False) as fake:
        cluster = KubernetesCluster(KubernetesClient(fake.client()), Cache(), Images(), fake.clock.now)
        for served in ([TRAIN_JOBS], BOTH, []):
            cluster.served = served
            await cluster.create_step(run, *create_step(run, "dpo-1"))
        made = [item["metadata"]["name"] for kind in ("TrainJob", "PyTorchJob") for item in fake.list(kind)]
    assert made == ["demo-dpo-1-a1"]


async def test_one_machine_trains_whatever_backend_a_cluster_would_use(tmp_path: Path) -> None:
    run = run_of(storage={"uri": f"file://{tmp_path}/store"}, training={"backend": "trainjob"})
    store = open_store(f"file://{tmp_path}/store/research/demo")
    cluster = LocalCluster(tmp_path / "run", store, lambda: datetime.now(UTC))
    try:
        await cluster.create_step(run, *create_step(run, "sft"))
        (child,) = (await cluster.observe(run, build_graph(run.spec), {})).children
        assert (child.kind, child.key) == (ChildKind.TRAINING, "sft")
    finally:
        cluster.stop_all(grace=0)
        while cluster.is_busy:
            await asyncio.sleep(0.05)
            cluster.refresh()


ALIGNED: dict[str, Any] = {"seedData": {}, "prompts": {"source": {"uri": "s3://data/prompts.jsonl"}}}


@pytest.mark.parametrize(
    ("spec", "labels", "served", "said"),
    [
        pytest.param({}, {}, BOTH, [], id="nothing to say"),
        pytest.param(ALIGNED, {}, [], [EventReason.TRAINING_OPERATOR_MISSING], id="nothing to train with"),
        pytest.param({}, {"kueue.x-k8s.io/queue-name": "q"}, BOTH, [EventReason.QUEUE_MAY_NOT_APPLY], id="v1 in Kueue"),
        pytest.param({}, {"kueue.x-k8s.io/queue-name": "q"}, [TRAIN_JOBS], [], id="v2 in Kueue"),
    ],
)
def test_what_is_said_when_a_run_begins(
    spec: dict[str, Any], labels: dict[str, str], served: Collection[Resource], said: list[EventReason]
) -> None:
    run = run_of(**spec)
    run = run.model_copy(update={"metadata": run.metadata.model_copy(update={"labels": labels})})
    events = list(cautions(run, build_graph(run.spec), served))
    assert [event.reason for event in events] == said
    assert all(event.warning for event in events)
