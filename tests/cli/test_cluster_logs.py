"""What pods said, and the archive for a maintainer, on a cluster in memory."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli.test_cluster import a_shell
from kube import Behaviour
from selfreward.cluster.kubernetes.pods import INDEX
from selfreward.render.metadata import ATTEMPT, KEY, RUN_UID


async def test_logs_of_all_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"key": "judge-1", "step": "judge", "state": "Running", "attempt": 2, "child": "demo-judge-1-a2"}
    iterations = [{"number": 1, "steps": [row]}]
    async with a_shell(tmp_path, monkeypatch, phase="Iterating", iterations=iterations) as shell:
        uid = shell.run["metadata"]["uid"]
        for name, shard, attempt in (("late", 1, 2), ("first", 0, 2), ("old", 0, 1)):
            labels = {RUN_UID: uid, KEY: "judge-1", ATTEMPT: str(attempt)}
            metadata = {"name": name, "labels": labels, "annotations": {INDEX: str(shard)}}
            spec = {"containers": [{"name": "step", "image": "x"}]}
            shell.cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        code, told = await shell.ended("logs", "demo", "judge-1", "-n", "default")
        assert code == 0
        # Nobody runs the pods here: each says why it has no log.
        assert [line.partition(":")[0] for line in told.splitlines()] == ["first", "late"]
        assert "no such step (there are: judge-1)" in await shell("logs", "demo", "judge-2", "-n", "default")


async def test_a_bundle_has_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = {"key": "Pl4ntedKey", "token": "hf_Pl4ntedPl4ntedPl4nted", "password": "Pl4ntedPassw0rd"}
    async with a_shell(tmp_path, monkeypatch, phase="Seeding") as shell:
        env = [{"name": "WANDB_API_KEY", "value": planted["key"]}, {"name": "ODD", "value": planted["token"]}]

        def plant(run: dict[str, Any]) -> None:
            run["spec"]["workloads"] = {"trainer": {"env": env}}
            run["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(env)}

        shell.cluster.edit("SelfRewardRun", "demo", plant)
        message = f"cannot reach https://me:{planted['password']}@host with {planted['key']}, {planted['token']}"
        about = {"kind": "SelfRewardRun", "name": "demo", "namespace": "default"}
        event = {"reason": "Refused", "message": message, "involvedObject": about, "metadata": {"name": "demo.1"}}
        shell.cluster.create({"apiVersion": "v1", "kind": "Event", **event})
        metadata = {"name": "demo-import-a1", "labels": {RUN_UID: shell.run["metadata"]["uid"]}}
        spec = {"containers": [{"name": "step", "image": "x", "env": env}]}
        shell.cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        target = tmp_path / "bundle.tar.gz"
        assert await shell("bundle", "demo", "-n", "default", "-o", str(target)) == str(target)
    with tarfile.open(target) as file:
        texts = {name: (file.extractfile(name) or io.BytesIO()).read().decode() for name in file.getnames()}
    assert not [name for name, text in texts.items() if "Pl4nted" in text]
    (told,) = yaml.safe_load(texts["bundle/events.yaml"])
    assert told["message"] == "cannot reach https://REMOVED@host with REMOVED, REMOVED"
    (pod,) = yaml.safe_load(texts["bundle/pods.yaml"])
    assert [each["name"] for each in pod["spec"]["containers"][0]["env"]] == ["WANDB_API_KEY", "ODD"]
    assert "logs/demo-import-a1/step.log: " in texts["bundle/absent.txt"]


async def test_what_pods_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In `logs` with the shard's pod in front; in a bundle, of the operator's words, those about the run alone."""
    row = {"key": "judge-1", "step": "judge", "state": "Running", "attempt": 1, "child": "demo-judge-1-a1"}
    status = {"phase": "Iterating", "iterations": [{"number": 1, "steps": [row]}]}
    async with a_shell(tmp_path, monkeypatch, controllers=True, **status) as shell:
        lines = ((0.0, "demo: waits"), (0.1, "other: password: Pl4nted"), (0.2, "demo: token=Pl4nted"))
        shell.cluster.playbook.on(Behaviour(runs=100, lines=lines))
        labels = {RUN_UID: shell.run["metadata"]["uid"], KEY: "judge-1", ATTEMPT: "1"}
        operator = {"app.kubernetes.io/name": "selfreward", "app.kubernetes.io/component": "operator"}
        for name, home, own in (("a", "default", labels), ("b", "default", labels), ("op", "research", operator)):
            metadata = {"name": name, "namespace": home, "labels": own}
            spec = {"containers": [{"name": "step", "image": "x"}], "restartPolicy": "Never"}
            shell.cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        await shell.cluster.idle(2)
        told = (await shell("logs", "demo", "judge-1", "-n", "default", "--tail", "1")).splitlines()
        assert [(line[:3], line.rpartition(" ")[2]) for line in told] == [
            ("a: ", "token=Pl4nted"),
            ("b: ", "token=Pl4nted"),
        ]
        await shell("bundle", "demo", "-n", "default", "-o", str(tmp_path / "b.tar.gz"))
    with tarfile.open(tmp_path / "b.tar.gz") as file:
        said = {
            name: (file.extractfile(name) or io.BytesIO()).read().decode().splitlines()
            for name in file.getnames()
            if name.startswith("bundle/logs/")
        }
    words = {name: [line.partition(" ")[2] for line in lines] for name, lines in said.items()}
    about = ["demo: waits", "demo: token=REMOVED"]
    assert words.pop("bundle/logs/op/step.log") == about
    assert {tuple(each) for each in words.values()} == {(about[0], "other: password: REMOVED", about[1])}
    assert list(words) == ["bundle/logs/a/step.log", "bundle/logs/b/step.log"]
