"""Deletion of a run with its artifacts: it ends, whatever has become of its spec or its store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from control.bench import Bench, bench, small_manifest
from selfreward.api import PAUSED
from selfreward.cluster.kubernetes import KubernetesClient
from selfreward.control.lifecycle import OUT_OF_REACH, REFUSED
from selfreward.control.operator import Operator
from selfreward.control.storage import StoragePolicy
from selfreward_steps.contract import StoreConfig
from selfreward_steps.errors import InfrastructureError, PermanentError, StepError
from selfreward_steps.store import Store, StoreReason
from selfreward_steps.store.file_store import FileStore

DELETE = {"artifacts": "Delete"}


class Failing(FileStore):
    """A folder in which nothing can be deleted."""

    def __init__(self, root: Path, error: Callable[[], StepError]) -> None:
        super().__init__(root)
        self._error = error

    def delete(self, prefix: str) -> None:
        raise self._error()


async def begin(made: Bench, folder: Path, opened: Callable[[StoreConfig], Store] | None = None) -> None:
    """Start an operator and a run that keeps a GPU for a long time."""
    made.cluster.create(small_manifest(folder, deletionPolicy=DELETE))
    client = KubernetesClient(made.cluster.client())
    credentials, now = made.cluster.kopf_credentials, made.cluster.clock.now
    operator = Operator(client, made.settings, credentials, now, open_run_store=opened)
    made.operators.append(asyncio.create_task(operator.run()))
    await made.cluster.until(lambda: bool(made.cluster.list("Pod")) and _committed(folder), 600)


def _committed(folder: Path) -> bool:
    return (folder / "store/namespace=default/demo/m0/manifest.json").exists()


def there(made: Bench) -> bool:
    return made.cluster.get("SelfRewardRun", "demo") is not None


def told(made: Bench) -> list[str]:
    events = made.cluster.list("Event")
    return [event["message"] for event in events if event["reason"] == "ArtifactsLeft"]


def stalled(made: Bench) -> str:
    run = made.cluster.get("SelfRewardRun", "demo")
    assert run is not None
    found = next(each for each in run["status"]["conditions"] if each["type"] == "Stalled")
    return f"{found['status']}/{found['reason']}: {found['message']}"


@pytest.mark.parametrize(
    ("error", "patience"),
    [
        (lambda: PermanentError(StoreReason.ACCESS_DENIED, "may not delete"), REFUSED),
        (lambda: InfrastructureError(StoreReason.UNAVAILABLE, "no answer"), OUT_OF_REACH),
    ],
    ids=["refused", "out-of-reach"],
)
async def test_a_store_that_does_not_let_go_holds_a_run_for_a_stated_time(
    tmp_path: Path, error: Callable[[], StepError], patience: timedelta
) -> None:
    async with bench(tmp_path) as made:
        await begin(made, tmp_path, lambda config: Failing(Path(config.uri.removeprefix("file://")), error))
        made.cluster.delete("SelfRewardRun", "demo")
        await made.cluster.idle(120)
        pods, said = made.cluster.list("Pod"), stalled(made)
        await made.cluster.idle(patience.total_seconds() - 600)
        waits = there(made)
        await made.cluster.idle(900)
        gone, events = not there(made), told(made)
    assert pods == []
    assert said.startswith("True/StorageRefused: artifacts cannot be deleted, and stay if that is still so at ")
    assert said.endswith(str(error()))
    assert waits
    assert gone
    assert events == [str(error())]
    assert _committed(tmp_path)


async def test_a_bucket_that_is_gone_is_deleted(tmp_path: Path) -> None:
    def gone() -> StepError:
        return PermanentError(StoreReason.BUCKET_NOT_FOUND, "no such bucket")

    async with bench(tmp_path) as made:
        await begin(made, tmp_path, lambda config: Failing(Path(config.uri.removeprefix("file://")), gone))
        made.cluster.delete("SelfRewardRun", "demo")
        await made.cluster.until(lambda: not there(made), 60)
        assert told(made) == []


async def test_a_paused_run_is_deleted(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await begin(made, tmp_path)
        made.cluster.edit("SelfRewardRun", "demo", lambda run: run["metadata"].update(annotations={PAUSED: "true"}))
        await made.cluster.idle(30)
        made.cluster.delete("SelfRewardRun", "demo")
        await made.cluster.until(lambda: not there(made), 60)
        left = made.cluster.list("Pod")
    assert left == []
    assert not _committed(tmp_path)


async def test_a_run_whose_storage_is_not_allowed_any_more_frees_its_pods_and_goes(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await begin(made, tmp_path)
        await made.kill()
        made.settings = replace(made.settings, storage=StoragePolicy(allowed=("s3://elsewhere",)))
        made.start("tighter")
        await made.cluster.idle(60)
        made.cluster.delete("SelfRewardRun", "demo")
        await made.cluster.idle(120)
        pods = made.cluster.list("Pod")
        await made.cluster.idle(REFUSED.total_seconds())
        gone, events = not there(made), told(made)
    assert pods == []
    assert gone
    assert len(events) == 1
    assert events[0].startswith("spec.storage.uri: ")
    assert _committed(tmp_path)


async def test_a_run_that_never_began_goes_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.settings = replace(made.settings, storage=StoragePolicy(allowed=("s3://elsewhere",)))
        made.cluster.create(small_manifest(tmp_path, deletionPolicy=DELETE))
        made.cluster.edit(
            "SelfRewardRun", "demo", lambda run: run["metadata"].update(finalizers=["selfreward.dev/artifacts"])
        )
        made.start()
        await made.cluster.idle(60)
        made.cluster.delete("SelfRewardRun", "demo")
        await made.cluster.until(lambda: not there(made), 60)
        assert told(made) == []
