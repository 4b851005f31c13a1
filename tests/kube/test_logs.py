"""The pod log endpoint: what it shows, from where, and how long it follows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kube import Behaviour, Blocked, FakeCluster
from kube.calls import PODS, Calls, calling, job, pod, pod_spec

LINES = ((0.0, "zero"), (10.0, "ten"), (20.0, "twenty"))
QUERIES: list[tuple[dict[str, str], str]] = [
    ({}, "zero\nten\ntwenty\n"),
    ({"tailLines": "1"}, "twenty\n"),
    ({"sinceSeconds": "10"}, "twenty\n"),
    ({"sinceTime": "2026-01-01T00:00:05Z"}, "ten\ntwenty\n"),
    ({"timestamps": "true", "tailLines": "1"}, "2026-01-01T00:00:21Z twenty\n"),
    ({"container": "step"}, "zero\nten\ntwenty\n"),
]


async def running(call: Calls, does: Behaviour, seconds: float, **spec: Any) -> str:
    """Start a pod, let it run; returns the path of its log."""
    call.cluster.playbook.on(does)
    call.cluster.create(pod(**spec))
    await call.cluster.idle(seconds)
    return f"{PODS}/pod/log"


@pytest.mark.parametrize(("query", "text"), [pytest.param(*case, id="-".join(case[0]) or "all") for case in QUERIES])
async def test_a_log(tmp_path: Path, query: dict[str, str], text: str) -> None:
    async with calling(tmp_path, controllers=True) as call:
        path = await running(call, Behaviour(runs=100, lines=LINES), 25)
        answer = await call("GET", path, **query)
    assert (answer.code, answer.body) == (200, text)


async def test_following_ends_with_the_container(tmp_path: Path) -> None:
    async with calling(tmp_path, controllers=True) as call:
        path = await running(call, Behaviour(runs=30, lines=LINES), 5)
        answer = await call("GET", path, follow="true")
        assert call.cluster.clock.seconds == pytest.approx(31)
        again = await asyncio.wait_for(call("GET", path, follow="true"), 1)
    assert answer.body == again.body == "zero\nten\ntwenty\n"


async def test_the_run_before_a_restart(tmp_path: Path) -> None:
    async with calling(tmp_path, controllers=True) as call:
        does = Behaviour(runs=5, exit_code=1, lines=((1.0, "dying"),))
        path = await running(call, does, 3, restartPolicy="OnFailure")
        first = await call("GET", path, previous="true")
        await call.cluster.idle(6)
        waiting = await call("GET", path)
        await call.cluster.idle(8)
        before = await call("GET", path, previous="true")
    assert (first.code, waiting.body, before.body) == (400, "dying\n", "dying\n")


async def test_a_container_that_waits_has_no_log(tmp_path: Path) -> None:
    async with calling(tmp_path, controllers=True) as call:
        path = await running(call, Behaviour(blocked=Blocked.IMAGE_PULL), 5)
        answer = await call("GET", path)
        absent = await call("GET", f"{PODS}/other/log")
    assert answer.code == 400
    assert "waiting to start: ImagePullBackOff" in answer.message
    assert absent.code == 404


async def test_a_log_is_its_pods_own(tmp_path: Path) -> None:
    async with FakeCluster(tmp_path) as cluster:
        cluster.playbook.on(lambda who: Behaviour(runs=50, lines=((0.0, f"I am {who.shard}"),)))
        cluster.create(job(completionMode="Indexed", completions=2, parallelism=2, template={"spec": pod_spec()}))
        await cluster.idle(10)
        logs = [[line async for line in cluster.api.logs.read(each, {})] for each in cluster.list("Pod")]
    assert sorted(logs) == [[b"I am 0\n"], [b"I am 1\n"]]
