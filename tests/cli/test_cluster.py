"""What a user may ask of a run on a cluster: each command against the in-memory API server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from kube import FakeCluster
from kube.kinds import BY_NAME
from selfreward.api import APPROVED, PAUSED, RETRY, SelfRewardRun
from selfreward.cli.errors import CommandError
from selfreward.cli.main import cli
from selfreward.cluster.local.record import RunFolder


@dataclass
class Shell:
    """A shell whose KUBECONFIG names a cluster with one run."""

    cluster: FakeCluster

    async def __call__(self, *arguments: str) -> str:
        """`selfreward ARGUMENTS`; returns what it prints, or the one line that it ends with."""
        return (await self.ended(*arguments))[1]

    async def ended(self, *arguments: str, plugin: bool = False) -> tuple[int, str]:
        """Its exit code, too."""
        answer = await asyncio.to_thread(CliRunner().invoke, cli, arguments, obj=plugin)
        if isinstance(answer.exception, CommandError):
            return answer.exception.exit_code, str(answer.exception)
        assert isinstance(answer.exception, SystemExit | None), answer.output
        return answer.exit_code, answer.output.strip()

    @property
    def run(self) -> dict[str, Any]:
        return self.cluster.get("SelfRewardRun", "demo") or {}

    def annotation(self, name: str) -> str | None:
        found = self.run["metadata"].get("annotations") or {}
        return found.get(name)


@asynccontextmanager
async def a_shell(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, controllers: bool = False, **status: Any
) -> AsyncIterator[Shell]:
    async with FakeCluster(folder, controllers=controllers) as cluster:
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
        monkeypatch.setenv("NO_PROXY", "*")
        spec: dict[str, Any] = {"model": {"uri": "hf://o/m"}, "schedule": {"approval": True}}
        spec |= {"seedData": {}, "prompts": {"generator": "file", "source": {"uri": "s3://d/p.jsonl"}}}
        cluster.create({**a_head("demo"), "spec": spec})
        if status:
            cluster.edit("SelfRewardRun", "demo", lambda run: run.update(status=status), subresource="status")
        yield Shell(cluster)


def a_head(name: str, namespace: str = "default") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "selfreward.dev/v1alpha1", "kind": "SelfRewardRun", "metadata": metadata}


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
    async with a_shell(tmp_path, monkeypatch, phase="Iterating", iteration=1, model="m1") as shell:
        for arguments in (["status", "-n", "default"], ["status", "demo", "-n", "default"], ["list", "-n", "default"]):
            code, shown = await shell.ended(*arguments)
            assert code == 0
            assert "demo" in shown
            assert "Iterating" in shown
            assert "1/2" in shown


async def test_status_of_a_run_that_waits_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_shell(tmp_path, monkeypatch, phase="Waiting", iteration=1) as shell:
        assert (await shell.ended("status", "demo", "-n", "default"))[0] == 2
        assert (await shell.ended("status", "demo", "-n", "default", "-o", "json"))[0] == 2
        assert (await shell.ended("list", "-n", "default"))[0] == 0


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
async def test_the_same_document_here_and_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, read: Callable[[str], Any]
) -> None:
    async with a_shell(tmp_path, monkeypatch, phase="Seeding") as shell:
        one = read(await shell("status", "demo", "-n", "default", "-o", output))
        assert (one["kind"], one["metadata"]["name"], one["status"]["phase"]) == ("SelfRewardRun", "demo", "Seeding")
        assert read(await shell("list", "-n", "default", "--output", output)) == [one]
        assert read(await shell("list", "-n", "research", "-o", output)) == []
        RunFolder(tmp_path, "demo").path.mkdir()
        RunFolder(tmp_path, "demo").save(SelfRewardRun.model_validate(one))
        assert read(await shell("list", "--workdir", str(tmp_path), "-o", output)) == [one]


PLACES = [
    pytest.param(["-n", "default"], id="namespace"),
    pytest.param(["--context", "fake"], id="context"),
    pytest.param(["-A"], id="all-namespaces"),
]


@pytest.mark.parametrize("place", PLACES)
async def test_every_command_takes_the_place_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: list[str]
) -> None:
    async with a_shell(tmp_path, monkeypatch, phase="Seeding") as shell:
        context = yaml.safe_load(shell.cluster.kubeconfig.read_text())["current-context"]
        place = [context if word == "fake" else word for word in place]
        shell.cluster.create({**a_head("other", "research"), "spec": shell.run["spec"]})
        for words in (["suspend", "demo"], ["resume", "demo"], ["pause", "demo"], ["unpause", "demo"], ["list"]):
            code, told = await shell.ended(*words, *place)
            assert (code, "demo" in told) == (0, True), told
        assert ("research" in await shell("list", *place)) == (place == ["-A"])


async def test_a_name_in_two_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_shell(tmp_path, monkeypatch) as shell:
        shell.cluster.create({**a_head("demo", "research"), "spec": shell.run["spec"]})
        words = await shell("suspend", "demo", "-A")
        assert words == "demo: in several namespaces: default, research: name one with -n"
        assert await shell("suspend", "nobody", "-A") == "nobody: no such run in any namespace"
        assert not shell.run["spec"].get("suspend")


async def test_a_run_of_another_version_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_shell(tmp_path, monkeypatch) as shell:
        shell.cluster.create({**a_head("newer"), "spec": shell.run["spec"]})
        storage = shell.cluster.api.storage
        (newer,) = [item for item in storage.peek(BY_NAME["SelfRewardRun"]) if item["metadata"]["name"] == "newer"]
        newer["spec"]["later"] = 1
        told = await shell("list", "-n", "default")
        assert "default/newer: spec.later: Extra inputs are not permitted: no SelfRewardRun of this version" in told
        assert "demo" in told


async def test_cancel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_shell(tmp_path, monkeypatch, phase="Seeding", artifacts="s3://b/namespace=default/demo") as shell:
        assert await shell.ended("cancel", "demo") == (
            64,
            "cancel demo: nobody can be asked: --yes says that you mean it",
        )
        assert shell.run
        assert await shell("cancel", "demo", "--yes") == (
            "demo: cancelled; its artifacts (s3://b/namespace=default/demo) stay"
        )
        assert shell.run["metadata"]["deletionTimestamp"], "it goes when its children have gone"


async def test_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    condition = a_condition("Failed", "True") | {"message": "dpo-1: out of memory"}
    async with a_shell(tmp_path, monkeypatch, phase="Failed", conditions=[condition]) as shell:
        assert await shell.ended("wait", "demo", "-n", "default") == (1, "demo: failed: dpo-1: out of memory")
    async with a_shell(tmp_path, monkeypatch, phase="Seeding") as shell:
        code, words = await shell.ended("wait", "demo", "-A", "--timeout", "0s")
        assert (code, words) == (124, "demo: not finished within 0s (it is Seeding)")
        assert (await shell.ended("wait", "demo", "-A", "--for", "phase=Seeding"))[0] == 0


async def test_a_plugin_means_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_shell(tmp_path, monkeypatch, phase="Seeding") as shell:
        code, told = await shell.ended("list", plugin=True)
        assert (code, "Seeding" in told) == (0, True)


@pytest.mark.parametrize("command", ["suspend", "resume", "retry", "approve", "pause"])
async def test_no_such_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    async with a_shell(tmp_path, monkeypatch) as shell:
        words = await shell(command, "other", "-n", "default")
        assert words == "other: no such run in namespace default (-n names another)"


async def test_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_shell(tmp_path, monkeypatch) as shell:
        await shell.cluster.__aexit__(None, None, None)
        assert (await shell("pause", "demo")).startswith("the API server cannot be asked: ")
