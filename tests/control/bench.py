"""A whole operator on a whole fake cluster, and what must hold whatever happens to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kube import FakeCluster, Logged
from kube.storage import Object
from selfreward.api import ConditionStatus, ConditionType, RunStatus, StepState, StepStatus
from selfreward.cluster.kubernetes import KubernetesClient
from selfreward.control.operator import Operator
from selfreward.control.settings import Settings
from selfreward.render import metadata as labels

DATA = {"uri": "file:///data/seed.jsonl"}
GPU_SECONDS = 60.0
"""Invariant 5."""


def run_manifest(folder: Path, name: str = "demo", **spec: Any) -> dict[str, Any]:
    """A small run with the paper's whole graph, its store in `folder`."""
    whole: dict[str, Any] = {
        "model": {"uri": "hf://owner/base"},
        "seedData": {"instructions": DATA, "rankings": DATA},
        "iterations": 1,
        "serving": {"generationShards": 2},
        "deadlines": {"step": 1000, "start": 300, "serving": 300, "progress": 200},
        "retry": {"limit": 3, "backoffSeconds": 5, "maxBackoffSeconds": 40, "infrastructureSeconds": 5000},
        "storage": {"uri": f"file://{folder}/store"},
        "workloads": {
            "serving": {"resources": {"limits": {"nvidia.com/gpu": "1"}}},
            "training": {"resources": {"limits": {"nvidia.com/gpu": "1"}}},
        },
    }
    return {
        "apiVersion": "selfreward.dev/v1alpha1",
        "kind": "SelfRewardRun",
        "metadata": {"name": name},
        "spec": whole | spec,
    }


def small_manifest(folder: Path, name: str = "demo", **spec: Any) -> dict[str, Any]:
    """The shortest run there is: an aligned base, prompts from a file, nothing evaluated."""
    short: dict[str, Any] = {
        "seedData": {},
        "prompts": {"generator": "file", "source": {"uri": "s3://data/prompts.jsonl"}},
        "evaluation": {"enabled": False},
    }
    return run_manifest(folder, name, **(short | spec))


def status_of(cluster: FakeCluster, name: str = "demo") -> RunStatus:
    """The run's status; an empty one when it has none, or is gone."""
    raw = cluster.get("SelfRewardRun", name)
    return RunStatus.model_validate((raw or {}).get("status") or {})


def rows(status: RunStatus) -> dict[str, StepStatus]:
    """The steps' rows by key."""
    return {row.key: row for iteration in status.iterations for row in iteration.steps}


def outputs(status: RunStatus) -> dict[str, str]:
    """Every artifact that the run committed, with its digest: what every schedule must agree on."""
    return {name: digest for row in rows(status).values() for name, digest in row.outputs.items()}


def condition(status: RunStatus, kind: ConditionType) -> str:
    """`Status/Reason` of a condition."""
    found = next(each for each in status.conditions if each.type is kind)
    return f"{found.status}/{found.reason}"


@dataclass
class Bench:
    """One cluster and the operators that run on it."""

    cluster: FakeCluster
    operators: list[asyncio.Task[None]] = field(default_factory=list)
    seen: dict[str, RunStatus] = field(default_factory=dict)
    """The newest status of each run."""
    settings: Settings = field(default_factory=lambda: Settings(workers=4))
    kills: int = 0
    started: list[Operator] = field(default_factory=list)
    struck: list[asyncio.Task[None]] = field(default_factory=list)
    """Operators that were killed from within a write; they are awaited at the end."""
    closed: bool = False

    def start(self, name: str = "operator") -> Operator:
        """Start an operator, beside those that run already."""
        client = KubernetesClient(self.cluster.client(name))
        operator = Operator(client, self.settings, self.cluster.kopf_credentials, self.cluster.clock.now)
        self.started.append(operator)
        self.operators.append(asyncio.create_task(operator.run()))
        return operator

    async def kill(self) -> None:
        """End all operators at once, wherever they are."""
        tasks, self.operators = [*self.struck, *self.operators], []
        self.struck = []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def close(self) -> None:
        """End all operators; none is started any more, not even by a write that comes while they end."""
        self.closed = True
        await self.kill()

    def restart(self) -> None:
        """Kill all operators without waiting for their end, as a pod is killed, and start another."""
        self.kills += 1
        for task in self.operators:
            task.cancel()
        self.struck += self.operators
        self.operators.clear()
        asyncio.get_running_loop().call_soon(self._start_unless_closed)

    def _start_unless_closed(self) -> None:
        if not self.closed:
            self.start()

    def kill_after(self, fatal: Callable[[Logged], bool]) -> None:
        """From now on an operator dies at each write for which `fatal` says so, before it hears the answer, and
        another starts at once. It is killed as a pod is: nothing of it goes on."""

        def strike(write: Logged) -> None:
            if write.user_agent != "kopf" and self.operators and not self.closed and fatal(write):
                self.restart()

        self.cluster.after_write.append(strike)

    async def finished(self, name: str = "demo", timeout: float = 3600) -> RunStatus:
        """Let time pass until the run has finished."""
        await self.cluster.until(lambda: status_of(self.cluster, name).finished_at is not None, timeout)
        return status_of(self.cluster, name)

    def watch_invariants(self) -> None:
        """Check after every write of an operator."""
        self.cluster.after_write.append(lambda _: self.check())

    def check(self) -> None:
        """DESIGN.md's invariants 1, 4 and 5."""
        self._one_child_an_attempt()
        for raw in self.cluster.list("SelfRewardRun"):
            key = f"{raw['metadata']['namespace']}/{raw['metadata']['name']}/{raw['metadata']['uid']}"
            status = RunStatus.model_validate(raw.get("status") or {})
            before = self.seen.get(key)
            if before is not None and before != status:
                check_monotonic(before, status)
            self.seen[key] = status
            self._gpus_are_free(raw, status)

    def _one_child_an_attempt(self) -> None:
        live: dict[tuple[str, ...], str] = {}
        for kind in ("Job", "PyTorchJob", "Deployment"):
            for item in self.cluster.list(kind):
                told = item["metadata"].get("labels") or {}
                if item["metadata"].get("deletionTimestamp") or _is_over(item):
                    continue
                step = told.get(labels.KEY) or told.get(labels.MODEL)
                place = (told.get(labels.RUN_UID, ""), str(step))
                assert place not in live, f"invariant 1: {live[place]} and {item['metadata']['name']} both live"
                live[place] = item["metadata"]["name"]

    def _gpus_are_free(self, raw: Object, status: RunStatus) -> None:
        still = status.finished_at or status.suspended_at
        if still is None or (self.cluster.clock.now() - still).total_seconds() <= GPU_SECONDS:
            return
        uid = raw["metadata"]["uid"]
        holders = [pod for pod in self.cluster.gpu_pods() if pod["metadata"]["labels"].get(labels.RUN_UID) == uid]
        assert not holders, "invariant 5: no GPU held"


def check_monotonic(old: RunStatus, new: RunStatus) -> None:
    """Invariant 4: status never goes backwards; every finished run has a reason."""
    assert new.iteration >= old.iteration
    assert new.observed_generation >= old.observed_generation
    before, after = rows(old), rows(new)
    for key, row in before.items():
        assert after[key].attempt >= row.attempt
        if row.state is StepState.SUCCEEDED:
            assert after[key].state is StepState.SUCCEEDED
            assert after[key].outputs == row.outputs
    for each in new.conditions:
        assert each.reason
    verdicts = [
        each
        for each in new.conditions
        if each.type in (ConditionType.SUCCEEDED, ConditionType.FAILED) and each.status is ConditionStatus.TRUE
    ]
    assert len(verdicts) == (new.finished_at is not None)


@asynccontextmanager
async def bench(folder: Path, **options: Any) -> AsyncIterator[Bench]:
    """A cluster with one run's worth of room; operators that are left are ended."""
    async with FakeCluster(folder, **options) as cluster:
        made = Bench(cluster)
        made.watch_invariants()
        try:
            yield made
        finally:
            await made.close()


def _is_over(item: Object) -> bool:
    done = ("Complete", "Failed", "Succeeded")
    conditions = (item.get("status") or {}).get("conditions") or []
    return any(each["type"] in done and each["status"] == "True" for each in conditions)
