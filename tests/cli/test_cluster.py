"""What a user may ask of a run on a cluster: each command against the in-memory API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kube import FakeCluster
from selfreward.api import APPROVED, PAUSED, RETRY
from selfreward.cli.errors import CommandError
from selfreward.cli.main import cli


@dataclass
class Shell:
    """A shell whose KUBECONFIG names a cluster with one run."""

    cluster: FakeCluster

    async def __call__(self, *arguments: str) -> str:
        """`selfreward ARGUMENTS`; returns what it prints, or the one line that it ends with."""
        answer = await asyncio.to_thread(CliRunner().invoke, cli, arguments)
        if isinstance(answer.exception, CommandError):
            return str(answer.exception)
        assert answer.exception is None, answer.output
        return answer.output.strip()

    @property
    def run(self) -> dict[str, Any]:
        return self.cluster.get("SelfRewardRun", "demo") or {}

    def annotation(self, name: str) -> str | None:
        found = self.run["metadata"].get("annotations") or {}
        return found.get(name)


@asynccontextmanager
async def a_shell(folder: Path, monkeypatch: pytest.MonkeyPatch, **status: Any) -> AsyncIterator[Shell]:
    async with FakeCluster(folder, controllers=False) as cluster:
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
        monkeypatch.setenv("NO_PROXY", "*")
        # kubernetes.aio reads KUBECONFIG when it is imported.
        monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(cluster.kubeconfig))
        spec: dict[str, Any] = {"model": {"uri": "hf://o/m"}, "schedule": {"approval": True}}
        spec |= {"seedData": {}, "prompts": {"generator": "file", "source": {"uri": "s3://d/p.jsonl"}}}
        head = {"apiVersion": "selfreward.dev/v1alpha1", "kind": "SelfRewardRun", "metadata": {"name": "demo"}}
        cluster.create({**head, "spec": spec})
        if status:
            cluster.edit("SelfRewardRun", "demo", lambda run: run.update(status=status), subresource="status")
        yield Shell(cluster)


def a_condition(kind: str, status: str) -> dict[str, Any]:
    when = "2026-01-01T00:00:00Z"
    return {"type": kind, "status": status, "reason": "StepFailed", "message": "", "lastTransitionTime": when}


async def test_suspend_and_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_shell(tmp_path, monkeypatch) as shell:
        assert await shell("suspend", "demo") == "demo: suspended now; selfreward resume demo lets it go on"
        assert (shell.run["spec"]["suspend"], shell.run["spec"]["suspendPolicy"]) == (True, "Immediate")
        assert "end of the running steps" in await shell("suspend", "demo", "--at-boundary", "-n", "default")
        assert shell.run["spec"]["suspendPolicy"] == "StepBoundary"
        assert await shell("resume", "demo") == "demo: resumed"
        assert shell.run["spec"]["suspend"] is False


async def test_retry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_shell(tmp_path, monkeypatch, phase="Failed", conditions=[a_condition("Failed", "True")]) as shell:
        assert await shell("retry", "demo") == "demo: is tried again from its failed step"
        assert shell.annotation(RETRY)


async def test_there_is_nothing_to_retry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_shell(tmp_path, monkeypatch, phase="Seeding", conditions=[a_condition("Failed", "False")]) as shell:
        assert "demo: has not failed (it is Seeding)" in await shell("retry", "demo")
        assert shell.annotation(RETRY) is None


async def test_approve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_shell(tmp_path, monkeypatch, phase="Waiting", iteration=1) as shell:
        assert await shell("approve", "demo") == "demo: iteration 2 is approved"
        assert shell.annotation(APPROVED) == "2"
        await shell("approve", "demo", "--iteration", "5")
        assert shell.annotation(APPROVED) == "5"


async def test_nothing_to_approve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_shell(tmp_path, monkeypatch, phase="Iterating", iteration=1) as shell:
        assert "no iteration waits for approval" in await shell("approve", "demo")
        assert shell.annotation(APPROVED) is None


async def test_pause_and_unpause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_shell(tmp_path, monkeypatch) as shell:
        assert "the operator leaves it alone" in await shell("pause", "demo")
        assert shell.annotation(PAUSED) == "true"
        assert await shell("unpause", "demo") == "demo: the operator looks after it again"
        assert shell.annotation(PAUSED) is None


async def test_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_shell(tmp_path, monkeypatch, phase="Waiting", iteration=1, model="m1") as shell:
        for arguments in (["status", "-n", "default"], ["status", "demo", "-n", "default"]):
            shown = await shell(*arguments)
            assert "demo" in shown
            assert "Waiting" in shown
            assert "1/2" in shown


@pytest.mark.parametrize("command", ["suspend", "resume", "retry", "approve", "pause"])
async def test_no_such_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    async with a_shell(tmp_path, monkeypatch) as shell:
        words = await shell(command, "other", "-n", "default")
        assert words == "other: no such run in namespace default (-n names another)"


async def test_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_shell(tmp_path, monkeypatch) as shell:
        await shell.cluster.__aexit__(None, None, None)
        assert (await shell("pause", "demo")).startswith("the API server cannot be asked: ")
