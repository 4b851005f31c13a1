"""The suite's runs: small enough for a laptop's cluster, whole enough to use every kind of workload."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from selfreward.api import ConditionStatus, ConditionType, RunStatus, StepState, StepStatus
from selfreward.render.metadata import RUN

from real_cluster.api import Api, Object, until
from real_cluster.ground import BUCKET, CREDENTIALS, PLACE, Ground, files_volume

_PERSISTENT: Final = ("Job", "PyTorchJob", "Deployment", "ReplicaSet", "Pod", "Service", "NetworkPolicy", "Secret")
"""Kinds of which a run may leave something behind."""


def _server(delay: float) -> list[str]:
    server = ["python3", f"{PLACE}/openai_server.py", "--port", "$(SELFREWARD_PORT)", "--delay", str(delay)]
    return [*server, "--host", "0.0.0.0", "--model", "$(SELFREWARD_MODEL_NAME)"]


def whole(namespace: str, ground: Ground, name: str = "tiny", *, delay: float = 0.1, **changes: Any) -> Object:
    """One iteration through every step of the graph; `delay` is the server's, in seconds a request."""
    training = {"batchSize": 2, "perDeviceBatchSize": 2, "maxLength": 96, "maxSteps": 4, "checkpointSteps": 1}
    little = {"requests": {"cpu": "10m"}}
    no_gpu = {"limits": {"nvidia.com/gpu": 0}}
    volume, mount = files_volume()
    one_thread = [{"name": "OMP_NUM_THREADS", "value": "1"}]
    spec = {
        "model": {"uri": f"s3://{BUCKET}/seed/model"},
        "seedData": {
            role: {"uri": f"s3://{BUCKET}/seed/{role}.jsonl", "limit": 8}
            for role in ("instructions", "rankings", "eft")
        },
        "iterations": 1,
        "prompts": {"count": 8, "sampling": {"maxTokens": 32}},
        "responses": {"sampling": {"maxTokens": 32}},
        "training": {"sft": training, "dpo": training},
        "evaluation": {"prompts": 2, "sampling": {"maxTokens": 32}},
        "serving": {"command": _server(delay), "concurrency": 2, "generationShards": 2},
        "retry": {"backoffSeconds": 1},
        "storage": {"uri": f"s3://{BUCKET}/runs", "endpointUrl": ground.endpoint, "secret": CREDENTIALS},
        "workloads": {
            # Unless told, a server and a trainer ask for a GPU.
            "serving": {"resources": little | no_gpu, "volumes": [volume], "volumeMounts": [mount]},
            "generation": {"resources": little},
            "training": {"resources": little | no_gpu, "env": one_thread},
            "processing": {"resources": little, "env": one_thread},
        },
    }
    for kind in spec["workloads"].values():
        kind |= {"imagePullPolicy": "IfNotPresent", "terminationGracePeriodSeconds": 10}
    return {
        "apiVersion": "selfreward.dev/v1alpha1",
        "kind": "SelfRewardRun",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec | changes,
    }


def short(namespace: str, ground: Ground, name: str = "short", *, delay: float = 0.1, **changes: Any) -> Object:
    """The shortest run there is: an aligned base, prompts from a file, nothing evaluated; `delay` as for `whole`."""
    spec = {
        "seedData": {},
        "prompts": {"generator": "file", "source": {"uri": f"s3://{BUCKET}/seed/instructions.jsonl"}, "count": 8},
        "evaluation": {"enabled": False},
    }
    return whole(namespace, ground, name, delay=delay, **(spec | changes))


@dataclass(frozen=True)
class Run:
    """One run in the cluster, as it can be asked about."""

    api: Api
    namespace: str
    name: str

    async def raw(self) -> Object:
        """The resource; fails when it is gone."""
        found = await self.api.get("SelfRewardRun", self.namespace, self.name)
        assert found is not None, f"{self.namespace}/{self.name} is gone"
        return found

    async def status(self) -> RunStatus:
        """Its status."""
        return RunStatus.model_validate((await self.raw()).get("status") or {})

    async def rows(self) -> dict[str, StepStatus]:
        """Its steps' rows by key."""
        return rows_of(await self.status())

    async def patch(self, **spec: Any) -> None:
        """Change fields of the spec."""
        await self.api.merge("SelfRewardRun", self.namespace, self.name, {"spec": spec})

    async def finished(self, timeout: float = 1500) -> RunStatus:
        """Wait for its end."""

        async def has_finished() -> bool:
            return (await self.status()).finished_at is not None

        try:
            await until(has_finished, f"{self.name} has finished", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await self.story()}") from error
        return await self.status()

    async def reaches(
        self, key: str, states: Collection[StepState] = (StepState.RUNNING,), timeout: float = 900
    ) -> None:
        """Wait until a step is, or was, in one of these states."""
        passed = {*states, StepState.SUCCEEDED}

        async def has_reached() -> bool:
            row = (await self.rows()).get(key)
            return row is not None and row.state in passed

        try:
            await until(has_reached, f"{key} is {' or '.join(states)}", timeout, every=0.3)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await self.story()}") from error

    async def pods(self) -> list[Object]:
        """Its pods that still hold resources."""
        pods = await self.api.list("Pod", self.namespace, f"{RUN}={self.name}")
        return [pod for pod in pods if pod["status"].get("phase") not in ("Succeeded", "Failed")]

    async def is_idle(self) -> bool:
        """Whether no pod of it holds anything."""
        return not await self.pods()

    async def leftovers(self) -> list[str]:
        """Everything in the namespace that carries its label."""
        found = [(kind, await self.api.list(kind, self.namespace, f"{RUN}={self.name}")) for kind in _PERSISTENT]
        return [f"{kind} {item['metadata']['name']}" for kind, items in found for item in items]

    async def story(self) -> str:
        """What its status says, for a test that failed."""
        status = await self.status()
        lines = [
            f"{row.key}: {row.state} a{row.attempt} {row.reason} {row.message}" for row in rows_of(status).values()
        ]
        lines += [f"{each.type}={each.status} {each.reason}: {each.message}" for each in status.conditions]
        lines += [f"serving {each.model}: {each.state} {each.reason} {each.message}" for each in status.servings]
        return "\n".join(lines)


async def start(api: Api, manifest: Object) -> Run:
    """Create the run as `kubectl apply` would."""
    await api.apply(manifest)
    return Run(api, manifest["metadata"]["namespace"], manifest["metadata"]["name"])


def rows_of(status: RunStatus) -> dict[str, StepStatus]:
    """The steps' rows by key."""
    return {row.key: row for iteration in status.iterations for row in iteration.steps}


def condition(status: RunStatus, kind: ConditionType) -> tuple[ConditionStatus, str, str]:
    """Status, reason and message of a condition; unknown when it is not there."""
    for each in status.conditions:
        if each.type is kind:
            return each.status, each.reason, each.message
    return ConditionStatus.UNKNOWN, "", ""


def seconds_since(moment: datetime) -> float:
    """By this machine's clock."""
    return (datetime.now(UTC) - moment).total_seconds()
