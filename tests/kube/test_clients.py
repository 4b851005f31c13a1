"""The two clients of the project, unchanged, on this cluster: kopf for watches, `kubernetes.aio` for writes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import kopf
import pytest
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client.exceptions import ApiException

from kube import FakeCluster, Fault, FaultKind, Logged, WatchFault, WatchFaultKind
from kube.calls import job, owned_by, run_manifest

LABEL = "selfreward.dev/run"
Seen = list[tuple[str | None, str, str]]


@asynccontextmanager
async def operator(cluster: FakeCluster, seen: Seen) -> AsyncIterator[None]:
    """A kopf operator of two kinds that notes what it is told."""
    registry = kopf.OperatorRegistry()
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.watching.label_selectors["batch", "jobs"] = LABEL
    settings.networking.error_backoffs = (1, 2, 4)
    # kopf kills its process ten minutes after it was told to stop: in virtual time, that is now.
    settings.process.ultimate_exiting_timeout = None

    @kopf.on.login(registry=registry)  # type: ignore[untyped-decorator]  # kopf is not followed
    def login(**_: Any) -> Any:
        return cluster.kopf_credentials()

    @kopf.on.event("selfreward.dev", "v1alpha1", "selfrewardruns", registry=registry)  # type: ignore[untyped-decorator]
    @kopf.on.event("batch", "v1", "jobs", registry=registry)  # type: ignore[untyped-decorator]
    async def note(type: str | None, body: kopf.Body, **_: Any) -> None:
        seen.append((type, body["kind"], body["metadata"]["name"]))

    task = asyncio.create_task(
        kopf.operator(registry=registry, settings=settings, clusterwide=True, standalone=True, memo=kopf.Memo())
    )
    try:
        await cluster.idle(2)
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def labelled_job(name: str, run: str = "demo") -> dict[str, Any]:
    manifest = job(name)
    manifest["metadata"]["labels"] = {LABEL: run}
    return manifest


async def test_kopf_sees_what_its_selector_lets_through(tmp_path: Path) -> None:
    seen: Seen = []
    async with FakeCluster(tmp_path, controllers=False) as cluster:
        cluster.create(run_manifest("early"))
        async with operator(cluster, seen):
            cluster.create(run_manifest("late"))
            cluster.create(labelled_job("ours"))
            cluster.create(job("not-ours"))
            cluster.edit("Job", "ours", lambda item: item["spec"].update(suspend=True))
            cluster.delete("SelfRewardRun", "late")
            await cluster.idle(2)
        watches = cluster.requests.matching("watch", "jobs")
        touched = cluster.requests.writes()
    assert seen[0] == (None, "SelfRewardRun", "early")
    assert [(kind, name) for _, kind, name in seen if name == "not-ours"] == []
    assert [type_ for type_, kind, _ in seen if kind == "Job"] == ["ADDED", "MODIFIED"]
    assert [type_ for type_, _, name in seen if name == "late"] == ["ADDED", "DELETED"]
    assert len(watches) == 1
    assert touched == []  # on.event leaves no trace


@pytest.mark.parametrize("kind", [WatchFaultKind.GONE, WatchFaultKind.CLOSE, WatchFaultKind.STALL])
async def test_kopf_recovers_what_a_watch_lost(tmp_path: Path, kind: WatchFaultKind) -> None:
    seen: Seen = []
    async with FakeCluster(tmp_path, controllers=False) as cluster:
        async with operator(cluster, seen):
            cluster.faults.on_watch(WatchFault(kind, plural="selfrewardruns"))
            cluster.create(run_manifest())
            # kopf notices silence after its inactivity timeout of 70 s: bookmarks come every 60.
            await cluster.idle(100)
        assert len(cluster.faults.injected) == 1
    assert [name for _, _, name in seen] == ["demo"]


async def test_kopf_survives_an_outage_within_its_backoffs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    seen: Seen = []
    async with FakeCluster(tmp_path, controllers=False) as cluster, operator(cluster, seen):
        cluster.faults.add(Fault(answer=503, times=0))
        cluster.faults.on_watch(WatchFault(WatchFaultKind.CLOSE, plural="selfrewardruns"))
        cluster.create(run_manifest("lost"))
        await cluster.idle(3)
        cluster.faults.clear()
        await cluster.idle(10)
    assert ("ADDED", "SelfRewardRun", "lost") in seen


async def test_the_kubeconfig_is_one(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path, controllers=False) as cluster:
        configuration = kubernetes_client.Configuration()
        await kubernetes_config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)
        async with kubernetes_client.ApiClient(configuration) as client:
            version = await kubernetes_client.VersionApi(client).get_code()
    assert version.git_version == "v1.36.2"


async def test_typed_objects_go_and_come_back(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path, controllers=False) as cluster:
        api = kubernetes_client.BatchV1Api(cluster.client())
        made = await api.create_namespaced_job("default", job())
        made.spec.suspend = True
        replaced = await api.replace_namespaced_job("job", "default", made)
        with pytest.raises(ApiException) as stale:
            await api.replace_namespaced_job("job", "default", made)
        listed = await api.list_namespaced_job("default", label_selector="!absent")
        gone = await api.delete_namespaced_job("job", "default", propagation_policy="Background")
    assert made.metadata.creation_timestamp.year == 2026
    assert replaced.metadata.generation == 2
    assert stale.value.status == 409
    assert [item.metadata.name for item in listed.items] == ["job"]
    assert gone["status"] == "Success"


async def test_two_leaders_race_and_one_is_told_409(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path, controllers=False) as cluster:
        apis = [kubernetes_client.CoordinationV1Api(cluster.client(name)) for name in ("a", "b")]
        lease = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "", "leaseDurationSeconds": 15}}
        await apis[0].create_namespaced_lease("default", lease)
        seen = [await api.read_namespaced_lease("leader", "default") for api in apis]

        async def take(api: Any, holder: str, lease: Any) -> int:
            lease.spec.holder_identity = holder
            try:
                await api.replace_namespaced_lease("leader", "default", lease)
            except ApiException as error:
                return int(error.status)
            return 200

        codes = await asyncio.gather(*(take(api, name, each) for api, name, each in zip(apis, "ab", seen, strict=True)))
        held = cluster.get("Lease", "leader")
        agents = [entry.user_agent for entry in cluster.requests.matching("update", "leases")]
    assert sorted(codes) == [200, 409]
    assert held is not None
    assert held["spec"]["holderIdentity"] == "ab"[codes.index(200)]
    assert sorted(agents) == ["a", "b"]


async def test_a_request_can_be_given_up(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path, controllers=False) as cluster:
        api = kubernetes_client.CoreV1Api(cluster.client())
        cluster.faults.add(Fault(FaultKind.TIMEOUT_AFTER_COMMIT, on="create configmaps"))
        start = cluster.clock.seconds
        with pytest.raises(TimeoutError):
            await api.create_namespaced_config_map("default", {"metadata": {"name": "map"}}, _request_timeout=30)
        assert cluster.clock.seconds - start == pytest.approx(30, abs=1)
        assert cluster.get("ConfigMap", "map") is not None


async def test_cascades_reach_kopf(tmp_path: Path) -> None:
    seen: Seen = []
    async with FakeCluster(tmp_path) as cluster:
        run = cluster.create(run_manifest())
        child = labelled_job("child")
        child["metadata"] |= owned_by(run, controller=True)
        child["spec"]["suspend"] = True
        cluster.create(child)
        async with operator(cluster, seen):
            cluster.delete("SelfRewardRun", "demo")
            await cluster.idle(5)
    assert ("DELETED", "Job", "child") in seen


async def test_an_operator_can_be_killed_right_after_each_write(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path, controllers=False) as cluster:
        api = kubernetes_client.CoreV1Api(cluster.client())
        done: list[str] = []

        async def work() -> None:
            for name in ("a", "b", "c"):
                await api.create_namespaced_config_map("default", {"metadata": {"name": name}})
                done.append(name)

        task = asyncio.create_task(work())

        def kill(entry: Logged) -> None:
            if entry.name == "b":
                task.cancel()

        cluster.after_write.append(kill)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [item["metadata"]["name"] for item in cluster.list("ConfigMap", "default")] == ["a", "b"]
    assert done == ["a"]
