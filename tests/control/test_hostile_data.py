"""What pods print, stores hold and people write on objects, by a tenant who means ill or a careless one.

A run goes on, or says what is wrong; its status stays JSON of a size that is stored; nobody else's run notices.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from control.bench import Bench, bench, condition, rows, small_manifest, status_of
from control.kueue import Kueue, reserving
from kube import Behaviour
from kube.storage import Change
from selfreward.api import ConditionType, Phase, StepState
from selfreward.cluster.kubernetes import client, logs
from selfreward.render import metadata as labels

MANY = {f"metric-{number}": 1.0 for number in range(20_000)}
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
MOST_BYTES = 20_000
"""Of the status of so short a run: it has 6000."""


@pytest.fixture(autouse=True)
def nothing_unexpected(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No exception comes so far that it is only logged, and met again for ever."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert "decoding the body" not in caplog.text, "no JSON"


def statuses(made: Bench) -> list[str]:
    """Every status that is written from now on, as text."""
    seen: list[str] = []

    def note(change: Change) -> None:
        if change.kind.kind == "SelfRewardRun":
            seen.append(json.dumps(change.object.get("status") or {}, ensure_ascii=False, allow_nan=False))

    made.cluster.api.storage.listen(note)
    return seen


def fit(written: list[str]) -> None:
    """They can be stored, and be printed."""
    assert max(map(len, written)) <= MOST_BYTES
    assert not COMMANDS.search("".join(written))
    assert "\\u001b" not in "".join(written)


def progress(content: str) -> tuple[tuple[float, str], ...]:
    """A line that says it, now and then."""
    line = '{"kind":"progress","done":1,"total":2,"unit":"steps"}'
    return tuple((at, line[:-1] + f",{content}}}") for at in (15.0, 45.0, 75.0))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param('"metrics":{"loss":NaN}', id="no number"),
        pytest.param('"metrics":{"loss":1e999}', id="infinity, as JSON has none"),
        pytest.param(f'"done":{10**30}', id="more than 64 bits"),
        pytest.param(f'"total":{"9" * 5000}', id="more digits than Python reads"),
        pytest.param(r'"unit":"\u001b[2J\u202e"', id="commands to a terminal"),
        pytest.param(f'"unit":"{"x" * 200_000}"', id="a unit of 200 KB"),
        pytest.param(f'"metrics":{json.dumps(MANY)}', id="20,000 metrics"),
        pytest.param(r'"metrics":{"\u001b[2J":1}', id="a metric's name"),
    ],
)
async def test_a_progress_line_that_no_step_of_ours_prints(tmp_path: Path, content: str) -> None:
    async with bench(tmp_path) as made:
        written = statuses(made)
        torn = Behaviour(runs=90, progress_every=1000, lines=progress(content))
        made.cluster.playbook.on(torn, key="dpo-1")
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        status = await made.finished()
        made.check()
    assert (status.phase, rows(status)["dpo-1"].attempt) == (Phase.SUCCEEDED, 1)
    fit(written)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        pytest.param('"succeeded":true,"reason":"Committed","metrics":{"loss":1e999,"n":NaN}', 0, id="no numbers"),
        pytest.param(r'"succeeded":false,"reason":"E\u001b[2J","message":"\u001b]0;x\u0007"', 1, id="commands"),
        pytest.param("boom \x1b[2J \u202e", 1, id="commands as last words"),
    ],
)
async def test_a_result_that_no_step_of_ours_reports(tmp_path: Path, message: str, code: int) -> None:
    text = f'{{"step":"dpo",{message},"failureClass":"Application"}}' if message.startswith('"') else message
    async with bench(tmp_path) as made:
        written = statuses(made)
        made.cluster.playbook.on(Behaviour(runs=5, exit_code=code, message=text), key="dpo-1", attempt=1)
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        status = await made.finished()
        made.check()
    assert status.phase is Phase.SUCCEEDED
    fit(written)


@pytest.mark.parametrize(
    ("artifact", "metrics"),
    [
        pytest.param("m0", '{"parameters":1e300,"cache_bytes_per_token":0}', id="a size of nothing"),
        pytest.param("m0", f'{{"parameters":{10**400},"cache_bytes_per_token":1}}', id="more than a float holds"),
        pytest.param("iteration-1/pairs", '{"pairs":1e300}', id="more pairs than 64 bits"),
        pytest.param("iteration-1/pairs", '{"pairs":NaN,"prompts":-1e999}', id="no numbers"),
        pytest.param("iteration-1/pairs", json.dumps(MANY), id="20,000 metrics"),
        pytest.param("iteration-1/pairs", r'{"\u001b[2J":1,"pairs":"many"}', id="names and words"),
    ],
)
async def test_a_manifest_with_numbers_that_no_step_of_ours_commits(
    tmp_path: Path, artifact: str, metrics: str
) -> None:
    """The pods that told the honest numbers are gone."""
    key = "import" if artifact == "m0" else "pairs-1"

    def tamper(committed: str) -> None:
        if committed != artifact:
            return
        path = tmp_path / "store/namespace=default/demo" / artifact / "manifest.json"
        found = json.loads(path.read_text())
        found["metadata"] = {"metrics": "HERE"}
        path.chmod(0o644)
        path.write_text(json.dumps(found).replace('"HERE"', metrics))

    async with bench(tmp_path) as made:
        written = statuses(made)
        made.cluster.playbook.on(Behaviour(runs=5, message="", metrics={"x": 1.0}), key=key)
        # Before anybody has seen what was committed: what comes later is another invariant's.
        made.cluster.after_commit.insert(0, tamper)
        selector = {"serving": {"nodeSelector": {"nvidia.com/gpu.memory": "81559"}}}
        made.cluster.create(small_manifest(tmp_path, workloads=selector))
        made.start()
        status = await made.finished()
    assert status.phase is Phase.SUCCEEDED
    fit(written)


def worn_by(victim: dict[str, Any]) -> dict[str, str]:
    """The labels of all that is a run's."""
    metadata = victim["metadata"]
    return {labels.MANAGED_BY: "selfreward", labels.RUN: metadata["name"], labels.RUN_UID: metadata["uid"]}


@pytest.mark.parametrize("kind", ["PyTorchJob", "Job", "Deployment"])
async def test_a_childs_name_that_is_planted_in_another_namespace_is_not_the_child(tmp_path: Path, kind: str) -> None:
    """It bears the victim's labels, and would pass for a training that was made already, and for a job that is to be
    deleted."""
    names = {"PyTorchJob": "demo-dpo-1-a1", "Job": "demo-respond-1-a1", "Deployment": "demo-serve-m0-a1"}
    async with bench(tmp_path) as made:
        made.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-b"}})
        victim = made.cluster.create(small_manifest(tmp_path))
        template = {"spec": {"containers": [{"name": "pytorch", "image": "x"}]}}
        group = {"PyTorchJob": "kubeflow.org/v1", "Job": "batch/v1", "Deployment": "apps/v1"}[kind]
        spec: dict[str, Any] = {
            "PyTorchJob": {"pytorchReplicaSpecs": {"Master": {"replicas": 1, "template": template}}},
            "Job": {"template": {"spec": {**template["spec"], "restartPolicy": "Never"}}, "suspend": True},
            "Deployment": {
                "replicas": 0,
                "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, **template},
            },
        }[kind]
        planted = {
            "name": names[kind],
            "namespace": "team-b",
            "labels": worn_by(victim) | {labels.KEY: "dpo-1", labels.ATTEMPT: "1"},
        }
        manifest = {"apiVersion": group, "kind": kind, "metadata": planted, "spec": spec}
        made.cluster.create(manifest)
        made.start()
        await made.cluster.until(lambda: _state(made, "respond-1") is StepState.RUNNING, 600)
        made.cluster.edit("SelfRewardRun", "demo", lambda run: run["spec"].update(suspend=True))
        await made.cluster.idle(90)
        held = [pod["metadata"]["name"] for pod in made.cluster.gpu_pods()]
        made.cluster.edit("SelfRewardRun", "demo", lambda run: run["spec"].update(suspend=False))
        status = await made.finished()
    assert held == []
    assert status.phase is Phase.SUCCEEDED


def _state(made: Bench, key: str) -> StepState | None:
    found = rows(status_of(made.cluster)).get(key)
    return None if found is None else found.state


@pytest.mark.parametrize("namespace", ["default", "team-b"])
async def test_a_planted_pod_whose_labels_are_no_numbers_stops_nobody(tmp_path: Path, namespace: str) -> None:
    async with bench(tmp_path) as made:
        if namespace != "default":
            made.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        victim = made.cluster.create(small_manifest(tmp_path))
        worn = worn_by(victim) | {labels.KEY: "import", labels.ATTEMPT: "first", labels.COMPONENT: "step"}
        told = {"batch.kubernetes.io/job-completion-index": "9" * 5000}
        metadata = {"name": "planted", "namespace": namespace, "labels": worn, "annotations": told}
        spec = {"containers": [{"name": "x", "image": "x"}]}
        made.cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        made.start()
        status = await made.finished()
    assert status.phase is Phase.SUCCEEDED


@pytest.mark.parametrize("text", ["9" * 5000, "x" * 100_000, "\u0663", "1e3", "-1", "²"])
async def test_an_approval_that_is_no_number_is_quoted_in_short(tmp_path: Path, text: str) -> None:
    async with bench(tmp_path) as made:
        written = statuses(made)
        manifest = small_manifest(tmp_path, iterations=1, schedule={"approval": True})
        noted = {"selfreward.dev/approved-iteration": text, "selfreward.dev/accepted-iteration": text}
        manifest["metadata"]["annotations"] = noted
        made.cluster.create(manifest)
        made.start()
        await made.cluster.idle(120)
        status = status_of(made.cluster)
    if text == "\u0663":
        assert status.phase is not Phase.WAITING, "three, in Arabic digits"
    else:
        said = next(each.message for each in status.conditions if each.type is ConditionType.PROGRESSING)
        assert status.phase is Phase.WAITING
        assert "waits for approval" in said
        assert len(said) < 300
    fit(written)


async def test_events_of_a_run_with_a_long_name(tmp_path: Path) -> None:
    name = "a" * 39 + "-" + "b" * 10
    async with bench(tmp_path) as made:
        made.cluster.create(small_manifest(tmp_path, name))
        made.start()
        await made.finished(name)
        told = {event["reason"] for event in made.cluster.list("Event")}
    assert {"StepStarted", "StepSucceeded"} <= told


async def test_a_reservation_whose_flavor_is_gone_stalls_the_run_until_it_is_back(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        queue = Kueue(made, 5.0)
        queue.install()
        made.cluster.delete("ResourceFlavor", "gpu", "")
        made.cluster.create(reserving(small_manifest(tmp_path)))
        made.start()
        await made.cluster.idle(300)
        status = status_of(made.cluster)
        said = condition(status, ConditionType.STALLED)
        flavor = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": "gpu"}}
        made.cluster.create({**flavor, "spec": {}})
        done = await made.finished(timeout=3600)
    assert said == "True/Refused"
    assert done.phase is Phase.SUCCEEDED


async def test_a_reservation_that_somebody_admits_by_hand_without_flavors(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.create(reserving(small_manifest(tmp_path)))
        Kueue(made, 1e9).install()
        made.start()
        await made.cluster.idle(60)
        (workload,) = made.cluster.list("Workload")
        by_hand = [{"type": kind, "status": "True", "reason": "Me"} for kind in ("QuotaReserved", "Admitted")]

        def admit(item: dict[str, Any]) -> None:
            item.setdefault("status", {})["conditions"] = by_hand

        made.cluster.edit("Workload", workload["metadata"]["name"], admit, subresource="status")
        done = await made.finished(timeout=3600)
    assert done.phase is Phase.SUCCEEDED


async def test_lines_as_long_as_a_disk_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest progress is found behind them."""
    read: list[int] = []
    newest = logs.newest_progress

    def noted(text: str) -> object:
        read.append(len(text))
        return newest(text)

    monkeypatch.setattr(logs, "newest_progress", noted)
    line = '{"kind":"progress","done":7,"total":9,"unit":"steps"}'
    flood = Behaviour(runs=90, progress_every=1000, lines=((20.0, "x" * 8_000_000), (21.0, line)))
    async with bench(tmp_path) as made:
        made.cluster.playbook.on(flood, key="dpo-1")
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        await made.cluster.until(lambda: _state(made, "dpo-1") is StepState.RUNNING, 600)
        await made.cluster.idle(60)
        shown = rows(status_of(made.cluster))["dpo-1"].progress
        await made.finished()
    assert shown is not None
    assert shown.done == 7
    assert max(read) <= 2 * client.LOG_BYTES
