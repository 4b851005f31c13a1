"""Kept engines on a cluster: one Deployment serves model after model, and whatever goes wrong on the way, the run ends
where it ends with a server for each model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from control.bench import Bench, bench, end_of, outputs, rows, small_manifest, status_of
from kube import Behaviour, Ending, FakeCluster, Logged
from kube.storage import Change, Object
from selfreward.api import Keeping, Phase, RunStatus, ServingState, StepState
from selfreward.render import metadata as labels
from selfreward_steps.contract import Assignment

AWAKE: dict[str, Any] = {"keep": "awake"}
ASLEEP: dict[str, Any] = {"deviceClassName": "gpu.example.com"}
KEPT = pytest.mark.parametrize("serving", [AWAKE, ASLEEP], ids=["awake", "asleep"])
ENGINE = "demo-serve-m0-a1"
"""Of the first model: its name stays."""


def kept_manifest(folder: Path, serving: dict[str, Any]) -> dict[str, Any]:
    """A short run that serves two models, one after the other."""
    short = small_manifest(folder, iterations=2, serving={"generationShards": 1, **serving})
    if "deviceClassName" in serving:
        short["spec"]["workloads"] = {}
    return short


async def undisturbed(folder: Path) -> dict[str, str]:
    """What such a run commits with a server for each model."""
    return (await end_of("two models", folder, lambda home: kept_manifest(home, {}))).commits


def deployments(cluster: FakeCluster) -> list[str]:
    """Names of the servers that the operator made, in order."""
    return list(dict.fromkeys(entry.name for entry in cluster.requests.matching("apply", "deployments")))


def engine_pods(cluster: FakeCluster) -> list[Object]:
    return [pod for pod in cluster.list("Pod") if labels.ENGINE in pod["metadata"]["labels"]]


def noted(cluster: FakeCluster) -> list[tuple[str, str | None]]:
    """What pods are told from now on, by their names."""
    seen: list[tuple[str, str | None]] = []

    def note(change: Change) -> None:
        text = (change.object["metadata"].get("annotations") or {}).get(labels.ASSIGNMENT)
        entry = (change.object["metadata"]["name"], Assignment.model_validate_json(text).model if text else None)
        if change.kind.kind == "Pod" and text and entry not in seen[-1:]:
            seen.append(entry)

    cluster.api.storage.listen(note)
    return seen


async def walked(made: Bench, manifest: dict[str, Any]) -> RunStatus:
    """The run after its whole walk; its artifacts are those of the undisturbed run."""
    made.cluster.create(manifest)
    made.start()
    status = await made.finished(timeout=2 * 3600)
    await made.cluster.idle(90)
    made.check()
    assert (status.phase, engine_pods(made.cluster)) == (Phase.SUCCEEDED, [])
    return status


async def running(made: Bench, key: str) -> None:
    """Let time pass until that step runs."""

    def runs() -> bool:
        row = rows(status_of(made.cluster)).get(key)
        return row is not None and row.state is StepState.RUNNING

    await made.cluster.until(runs)


@pytest.mark.parametrize(
    ("serving", "told"),
    [pytest.param(AWAKE, ["m0", "m2"], id="awake"), pytest.param(ASLEEP, ["m0", None, "m2", None], id="asleep")],
)
async def test_one_deployment_serves_every_model(
    tmp_path: Path, serving: dict[str, Any], told: list[str | None]
) -> None:
    async with bench(tmp_path) as made:
        seen = noted(made.cluster)
        status = await walked(made, kept_manifest(tmp_path, serving))
        assert deployments(made.cluster) == [ENGINE]
    assert outputs(status) == await undisturbed(tmp_path)
    assert [model for _, model in seen] == told[: len(seen)]
    assert len(seen) >= len(told) - 1
    assert len({pod for pod, _ in seen}) == 1


@pytest.mark.parametrize(
    ("serving", "absent", "words"),
    [
        pytest.param({}, (), "", id="nothing asked for"),
        pytest.param({"keep": "never", **ASLEEP}, (), "", id="never"),
        pytest.param(ASLEEP, ("ResourceClaim",), "the cluster does not serve resource.k8s.io/v1", id="no claims"),
        pytest.param(AWAKE | {"engine": "transformers"}, (), "only vLLM", id="another engine"),
    ],
)
async def test_elsewhere_each_model_has_a_server_of_its_own_and_the_run_says_why(
    tmp_path: Path, serving: dict[str, Any], absent: tuple[str, ...], words: str
) -> None:
    async with bench(tmp_path, absent=absent) as made:
        status = await walked(made, kept_manifest(tmp_path, serving))
        assert deployments(made.cluster) == [ENGINE, "demo-serve-m2-a1"]
        told = [event["message"] for event in made.cluster.list("Event") if event["reason"] == "EngineNotKept"]
    assert outputs(status) == await undisturbed(tmp_path)
    assert len(told) == bool(words)
    assert all(words in message for message in told)


async def test_the_server_and_the_training_name_one_claim_that_goes_with_the_run(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.create(kept_manifest(tmp_path, ASLEEP))
        made.start()
        await running(made, "dpo-1")
        await made.cluster.until(lambda: made.cluster.list("Pod", labels=f"{labels.KEY}=dpo-1"))
        (claim,) = made.cluster.list("ResourceClaim")
        (serving,) = status_of(made.cluster).servings
        assert (serving.keeping, serving.state) == (Keeping.ASLEEP, ServingState.ASLEEP)
        named = {
            pod["metadata"]["labels"][labels.COMPONENT]: pod["spec"]["resourceClaims"][0]["resourceClaimName"]
            for pod in made.cluster.list("Pod")
            if pod["spec"].get("resourceClaims")
        }
        assert named == dict.fromkeys(("serving", "step"), claim["metadata"]["name"])
        made.cluster.delete("SelfRewardRun", "demo")
        await made.cluster.idle(120)
        assert made.cluster.list("ResourceClaim") == []


@KEPT
@pytest.mark.parametrize("first", range(1, 5))
async def test_an_operator_killed_after_any_write(tmp_path: Path, serving: dict[str, Any], first: int) -> None:
    """Every fourth in each of four runs: every write is once the last that an operator did."""
    writes = 0

    def fatal(_: Logged) -> bool:
        nonlocal writes
        writes += 1
        return writes % 4 == first % 4

    async with bench(tmp_path) as made:
        made.kill_after(fatal)
        status = await walked(made, kept_manifest(tmp_path, serving))
        assert deployments(made.cluster) == [ENGINE], "no kill costs an engine"
    assert outputs(status) == await undisturbed(tmp_path)
    assert {row.attempt for row in rows(status).values()} == {1}
    assert made.kills >= 10


@KEPT
@pytest.mark.parametrize("ending", [Ending.EVICTED, Ending.NODE_LOST, Ending.EXIT])
@pytest.mark.parametrize("runs", [1.5, 6, 12])
async def test_an_engine_that_is_lost_at_any_moment(
    tmp_path: Path, serving: dict[str, Any], ending: Ending, runs: float
) -> None:
    """Before it has a model, while it answers, while it sleeps or changes: a new pod comes up with what is current."""
    async with bench(tmp_path) as made:
        lost = Behaviour(runs=runs, ending=ending, exit_code=int(ending is Ending.EXIT))
        made.cluster.playbook.on(lost, kind="Deployment", times=1)
        status = await walked(made, kept_manifest(tmp_path, serving))
    assert outputs(status) == await undisturbed(tmp_path)
    assert {row.attempt for row in rows(status).values()} == {1}


@KEPT
async def test_a_pod_that_is_made_anew_serves_what_is_current(tmp_path: Path, serving: dict[str, Any]) -> None:
    async with bench(tmp_path) as made:
        seen = noted(made.cluster)
        made.cluster.playbook.on(Behaviour(runs=30), step="respond")
        made.cluster.create(kept_manifest(tmp_path, serving))
        made.start()
        await running(made, "respond-2")
        (pod,) = engine_pods(made.cluster)
        made.cluster.delete("Pod", pod["metadata"]["name"], grace=0)
        await made.finished()
        assert deployments(made.cluster) == [ENGINE]
        assert outputs(status_of(made.cluster)) == await undisturbed(tmp_path)
    after = [model for name, model in seen if name != pod["metadata"]["name"]]
    assert after[:1] == ["m2"], "and never what it served first"


@KEPT
@pytest.mark.parametrize(
    "fails",
    [
        pytest.param(Behaviour(exchange_fails=frozenset({"m2"})), id="refused"),
        pytest.param(Behaviour(exchange_after=math.inf), id="never done"),
    ],
)
async def test_a_model_whose_weights_an_engine_does_not_take_gets_a_server_of_its_own(
    tmp_path: Path, serving: dict[str, Any], fails: Behaviour
) -> None:
    async with bench(tmp_path) as made:
        made.cluster.playbook.on(fails, kind="Deployment")
        status = await walked(made, kept_manifest(tmp_path, serving))
        assert deployments(made.cluster) == [ENGINE, "demo-serve-m2-a2"]
    assert outputs(status) == await undisturbed(tmp_path)


async def test_every_replica_is_told(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        seen = noted(made.cluster)
        status = await walked(made, kept_manifest(tmp_path, AWAKE | {"replicas": 3}))
        assert deployments(made.cluster) == [ENGINE]
    assert outputs(status) == await undisturbed(tmp_path)
    assert sorted(model or "" for _, model in set(seen)) == ["m0"] * 3 + ["m2"] * 3


async def test_a_pod_of_another_namespace_is_told_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        run = made.cluster.create(kept_manifest(tmp_path, AWAKE))["metadata"]
        mine = {labels.RUN: run["name"], labels.RUN_UID: run["uid"], labels.ENGINE: ENGINE, labels.ATTEMPT: "1"}
        lies = {"name": "liar", "namespace": "research", "labels": {**mine, labels.COMPONENT: "serving"}}
        containers = [{"name": name, "image": "any"} for name in ("server", "agent")]
        made.cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": lies, "spec": {"containers": containers}})
        made.start()
        assert (await made.finished()).phase is Phase.SUCCEEDED
        liar = made.cluster.get("Pod", "liar", "research")
        assert liar is not None
        assert labels.ASSIGNMENT not in (liar["metadata"].get("annotations") or {})


@KEPT
async def test_a_suspended_run_keeps_no_engine(tmp_path: Path, serving: dict[str, Any]) -> None:
    async with bench(tmp_path) as made:
        made.cluster.create(kept_manifest(tmp_path, serving))
        made.start()
        await running(made, "dpo-1")
        made.cluster.edit("SelfRewardRun", "demo", lambda run: run["spec"].update(suspend=True))
        await made.cluster.until(lambda: not engine_pods(made.cluster))
        made.cluster.edit("SelfRewardRun", "demo", lambda run: run["spec"].update(suspend=False))
        assert outputs(await made.finished()) == await undisturbed(tmp_path)
