"""What the API server cannot refuse: within a minute the run is Stalled, with a reason of the list and one sentence
that names the field, and it goes on by itself once the user has put it right."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from control.bench import Bench, bench, condition, rows, small_manifest, status_of
from kube import Behaviour, Blocked, Fault
from kube.behaviour import StepPod
from selfreward.api import ConditionStatus, ConditionType, Phase, Reason
from selfreward.cluster.kubernetes import KubernetesClient
from selfreward.control.operator import Operator
from selfreward_steps.contract import StoreConfig
from selfreward_steps.errors import PermanentError
from selfreward_steps.store import Store, StoreReason, open_store

SAID_SECONDS = 70.0
"""A minute, and the seconds in which it could not be known."""
SEEN_SECONDS = 130.0
"""A resource type that is installed is found at the next list of all, every two minutes."""


def no_change(_: Bench) -> None:
    """It mends by itself: another has let the GPUs go, the quota was raised."""


def secret(made: Bench) -> None:
    made.cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub"}, "data": {"token": "eA=="}})


def claim(made: Bench) -> None:
    made.cluster.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "disk"}, "spec": {}})


def edited(**spec: Any) -> Callable[[Bench], None]:
    return lambda made: made.cluster.edit("SelfRewardRun", "demo", lambda run: run["spec"].update(spec)) and None


@dataclass(frozen=True)
class Case:
    """A mistake, what is said of it, and how it is put right."""

    reason: Reason
    names: str
    """The field, and what of it."""
    mend: Callable[[Bench], Any] = no_change
    spec: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[Bench], Any] = no_change
    absent: tuple[str, ...] = ()


def no_gpu(made: Bench) -> None:
    waits = Behaviour(blocked=Blocked.UNSCHEDULABLE, blocked_for=150, blocked_message="0/3 nodes: 3 Insufficient gpu.")
    made.cluster.playbook.on(kind="PyTorchJob", does=waits)


def no_such_dataset(made: Bench) -> None:
    def imports(pod: StepPod) -> Behaviour:
        return Behaviour(exit_code=64, result_reason="NoSuchFile") if "wrong.jsonl" in str(pod.pod) else Behaviour()

    made.cluster.playbook.on(imports, key="import")


def no_model(made: Bench) -> None:
    def serves(pod: StepPod) -> Behaviour:
        broken = Behaviour(runs=1, exit_code=1, ready_after=1e9, message="ValueError: unknown architecture")
        return broken if "--wrong" in str(pod.pod) else Behaviour()

    made.cluster.playbook.on(serves, model="m0")


def no_quota(made: Bench) -> None:
    deadline = asyncio.get_running_loop().time() + 90

    def refuse(request: Any) -> Fault | None:
        is_over = asyncio.get_running_loop().time() > deadline
        return None if is_over or request.plural != "jobs" or request.verb != "apply" else Fault(answer=403)

    made.cluster.faults.decide = refuse


CASES = {
    "a secret that is not there": Case(
        Reason.SECRET_MISSING,
        "spec.model.tokenSecretRef: import: CreateContainerConfigError: container step: a Secret or ConfigMap it names "
        'is missing: secret "hub" not found',
        secret,
        spec={"model": {"uri": "hf://owner/base", "tokenSecretRef": {"name": "hub"}}},
    ),
    "a claim that is not there": Case(
        Reason.UNSCHEDULABLE,
        "spec.storage.claimName: import: ",
        claim,
        spec={"storage": {"uri": "file:///store", "claimName": "disk"}},
    ),
    "a GPU that no node has": Case(
        Reason.UNSCHEDULABLE,
        "spec.workloads.training: dpo-1: Unschedulable: no node fits its resources and placement: 0/3 nodes",
        prepare=no_gpu,
    ),
    "a dataset that is not there": Case(
        Reason.CONFIGURATION_ERROR,
        "import: NoSuchFile: ",
        edited(prompts={"generator": "file", "source": {"uri": "s3://data/prompts.jsonl"}}),
        spec={"prompts": {"generator": "file", "source": {"uri": "s3://data/wrong.jsonl"}}},
        prepare=no_such_dataset,
    ),
    "a model that does not load": Case(
        Reason.SERVING_FAILED,
        "spec.serving: the server of m0 did not come up 2 times: ExitCode: container server: exit code 1: ValueError: "
        "unknown architecture",
        edited(serving={"generationShards": 2}),
        spec={"serving": {"generationShards": 2, "args": ["--wrong"]}},
        prepare=no_model,
    ),
    "no training operator": Case(
        Reason.TRAINING_OPERATOR_MISSING,
        "spec.training.backend: auto: the cluster serves neither PyTorchJob nor TrainJob: install Kubeflow ",
        lambda made: made.cluster.install("PyTorchJob"),
        absent=("PyTorchJob", "TrainJob"),
    ),
    "a mistake that no schema can tell": Case(
        Reason.INVALID_SPEC,
        "spec.workloads.training.resources.limits: memory: 16: are bytes: ",
        edited(workloads={"training": {"resources": {"limits": {"memory": "16Gi"}}}}),
        spec={"workloads": {"training": {"resources": {"limits": {"memory": 16}}}}},
    ),
    "a quota": Case(Reason.REFUSED, "Forbidden: PATCH ", prepare=no_quota),
}


def stalled(made: Bench) -> str:
    status = status_of(made.cluster)
    return condition(status, ConditionType.STALLED) if status.conditions else ""


async def said(made: Bench, reason: Reason) -> str:
    """Let time pass until the run says that it is stalled, for that reason; returns the sentence."""
    await made.cluster.until(lambda: stalled(made) == f"True/{reason}", SAID_SECONDS)
    return next(each.message for each in status_of(made.cluster).conditions if each.status is ConditionStatus.TRUE)


async def goes_on(made: Bench) -> None:
    await made.cluster.until(lambda: stalled(made).startswith("False"), SEEN_SECONDS + 60)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_it_is_said_and_mends(tmp_path: Path, case: Case) -> None:
    async with bench(tmp_path, absent=case.absent) as made:
        case.prepare(made)
        made.cluster.create(small_manifest(tmp_path, **case.spec))
        made.start()
        message = await said(made, case.reason)
        case.mend(made)
        await goes_on(made)
    assert message.startswith(case.names)
    assert "\n" not in message


async def test_another_leader_goes_on_saying_it(tmp_path: Path) -> None:
    """What was refused is in one leader's memory only; the status must not say in between that all is well."""
    async with bench(tmp_path) as made:
        made.cluster.faults.decide = lambda call: (
            Fault(answer=403) if (call.plural, call.verb) == ("jobs", "apply") else None
        )
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        await said(made, Reason.REFUSED)
        seen: list[str] = []
        made.cluster.after_write.append(lambda _: seen.append(stalled(made)))
        await made.kill()
        made.start("another")
        await made.cluster.idle(100)
        assert set(seen) <= {f"True/{Reason.REFUSED}"}
        assert stalled(made) == f"True/{Reason.REFUSED}"
        made.cluster.faults.decide = None
        await goes_on(made)


async def test_a_bucket_that_is_not_there(tmp_path: Path) -> None:
    """The operator itself reads the store; nothing may be decided before."""
    there: list[bool] = []

    def opened(config: StoreConfig) -> Store:
        if not there:
            raise PermanentError(StoreReason.BUCKET_NOT_FOUND, "bucket data does not exist")
        return open_store(config.uri)

    async with bench(tmp_path) as made:
        made.cluster.create(small_manifest(tmp_path))
        client = KubernetesClient(made.cluster.client())
        credentials, now = made.cluster.kopf_credentials, made.cluster.clock.now
        operator = Operator(client, made.settings, credentials, now, open_run_store=opened)
        made.operators.append(asyncio.create_task(operator.run()))
        message = await said(made, Reason.STORAGE_REFUSED)
        before = rows(status_of(made.cluster))
        there.append(True)
        await goes_on(made)
        status = await made.finished()
    assert message == f"spec.storage (file://{tmp_path}/store): BucketNotFound: bucket data does not exist"
    assert before == {}
    assert status.phase is Phase.SUCCEEDED
