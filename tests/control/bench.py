"""A whole operator on a whole fake cluster."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from control.invariants import Invariants, rows
from kube import FakeCluster, Logged
from selfreward.api import ConditionType, RunStatus
from selfreward.cluster.kubernetes import KubernetesClient
from selfreward.control.operator import Operator
from selfreward.control.settings import Settings

DATA = {"uri": "file:///data/seed.jsonl"}


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


def outputs(status: RunStatus) -> dict[str, str]:
    """Every artifact that the run committed, with its digest: what every schedule must agree on."""
    return {name: digest for row in rows(status).values() for name, digest in row.outputs.items()}


def condition(status: RunStatus, kind: ConditionType) -> str:
    """`Status/Reason` of a condition."""
    found = next(each for each in status.conditions if each.type is kind)
    return f"{found.status}/{found.reason}"


@dataclass(frozen=True)
class End:
    """Of a run that nobody disturbed."""

    commits: dict[str, str]
    calls: int
    """Requests to the API server until it finished."""


_ends: dict[str, End] = {}


async def end_of(name: str, folder: Path, manifest: Callable[[Path], dict[str, Any]]) -> End:
    """Walk that manifest's run undisturbed, in a folder below this one: once a process for each `name`."""
    if name not in _ends:
        home = folder / "undisturbed"
        home.mkdir()
        async with bench(home) as made:
            made.cluster.create(manifest(home))
            made.start()
            commits = outputs(await made.finished())
            _ends[name] = End(commits, len(made.cluster.requests.entries) + made.cluster.requests.discoveries)
    return _ends[name]


@dataclass
class Bench:
    """One cluster and the operators that run on it."""

    cluster: FakeCluster
    invariants: Invariants
    operators: list[asyncio.Task[None]] = field(default_factory=list)
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
        await self.cluster.until(lambda: self._has_finished(name), timeout, every=60)
        return status_of(self.cluster, name)

    def _has_finished(self, name: str) -> bool:
        runs = (run for run in self.cluster.peek("SelfRewardRun") if run["metadata"]["name"] == name)
        return any((run.get("status") or {}).get("finishedAt") for run in runs)

    def watch_invariants(self) -> None:
        """Check after every write of an operator, and after every commit of a step."""
        self.cluster.after_write.append(lambda _: self.check())
        self.cluster.after_commit.append(lambda _: self.invariants.note_commits())

    def check(self) -> None:
        """Check invariants 1 to 6 now."""
        self.invariants.check()


@asynccontextmanager
async def bench(folder: Path, **options: Any) -> AsyncIterator[Bench]:
    """A cluster with one run's worth of room; operators that are left are ended."""
    async with FakeCluster(folder, **options) as cluster:
        asyncio.get_running_loop().set_default_executor(_Inline())
        made = Bench(cluster, Invariants(cluster, folder / "store"))
        made.watch_invariants()
        try:
            yield made
        finally:
            await made.close()


class _Inline(ThreadPoolExecutor):
    """Threads' work done at once, on the loop: the same order every time, and a third of a run's cost saved."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to whoever awaits it
            done.set_exception(error)
        return done
