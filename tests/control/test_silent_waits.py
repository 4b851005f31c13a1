"""Waits of which the operator knew and the status did not: each is told, by a new leader too, and mends by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from control.bench import Bench, bench, condition, small_manifest, status_of
from control.kueue import Kueue, reserving
from kube import Fault, Logged
from selfreward.api import ConditionType, Phase, Reason
from selfreward.cluster.kubernetes import KubernetesClient
from selfreward.control.operator import Operator
from selfreward_steps.contract import StoreConfig
from selfreward_steps.errors import InfrastructureError
from selfreward_steps.store import Store, StoreReason, open_store

TOLD_SECONDS = 80.0


def begin(made: Bench, opened: Callable[[StoreConfig], Store] | None = None) -> None:
    client = KubernetesClient(made.cluster.client())
    credentials, now = made.cluster.kopf_credentials, made.cluster.clock.now
    operator = Operator(client, made.settings, credentials, now, open_run_store=opened)
    made.operators.append(asyncio.create_task(operator.run()))


def stalled(made: Bench) -> str:
    status = status_of(made.cluster)
    return condition(status, ConditionType.STALLED) if status.conditions else ""


ASKED: dict[str, dict[str, Any]] = {
    "alone": {},
    "kept engine": {"serving": {"generationShards": 1, "keep": "awake"}},
    "deleted with its artifacts": {"deletionPolicy": {"artifacts": "Delete"}},
}


@pytest.mark.parametrize("is_reserving", [False, True], ids=["", "in a queue"])
@pytest.mark.parametrize("spec", ASKED.values(), ids=ASKED)
async def test_a_store_that_does_not_answer(tmp_path: Path, spec: dict[str, Any], is_reserving: bool) -> None:
    answers: list[bool] = []

    def opened(config: StoreConfig) -> Store:
        if not answers:
            raise InfrastructureError(StoreReason.UNAVAILABLE, "http://store:9000 does not answer")
        return open_store(config.uri)

    async with bench(tmp_path) as made:
        manifest = small_manifest(tmp_path, **spec)
        if is_reserving:
            Kueue(made).install()
            reserving(manifest)
        made.cluster.create(manifest)
        begin(made, opened)
        await made.cluster.until(lambda: stalled(made) == f"True/{Reason.STORAGE_REFUSED}", TOLD_SECONDS)
        (message,) = {each.message for each in status_of(made.cluster).conditions if each.type is ConditionType.STALLED}
        await made.kill()
        begin(made, opened)
        await made.cluster.idle(100)
        assert stalled(made) == f"True/{Reason.STORAGE_REFUSED}"
        answers.append(True)
        status = await made.finished(timeout=7200)
        await made.cluster.idle(60)
        made.check()
    assert message == f"spec.storage (file://{tmp_path}/store): StoreUnavailable: http://store:9000 does not answer"
    assert status.phase is Phase.SUCCEEDED
    assert condition(status, ConditionType.STALLED).startswith("False")


@pytest.mark.parametrize("suspend", [False, True], ids=["", "suspended at birth"])
async def test_a_finalizer_that_may_not_be_written(tmp_path: Path, suspend: bool) -> None:
    def refuse(call: Logged) -> Fault | None:
        mine = call.plural == "selfrewardruns" and call.verb == "patch" and call.user_agent == "operator"
        return Fault(answer=403) if mine else None

    async with bench(tmp_path) as made:
        made.cluster.faults.decide = refuse
        manifest = small_manifest(tmp_path, deletionPolicy={"artifacts": "Delete"}, suspend=suspend)
        made.cluster.create(manifest | {"spec": {**manifest["spec"], "managedBy": "selfreward.dev/operator"}})
        begin(made)
        await made.cluster.until(lambda: stalled(made) == f"True/{Reason.REFUSED}", TOLD_SECONDS)
        made.cluster.faults.decide = None
        await made.cluster.until(lambda: stalled(made).startswith("False"), 400)
        made.cluster.edit("SelfRewardRun", "demo", lambda run: run["spec"].update(suspend=False))
        assert (await made.finished()).phase is Phase.SUCCEEDED
        made.check()
