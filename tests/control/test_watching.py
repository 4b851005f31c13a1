"""Watches that begin in any container, and say so when they cannot."""

from __future__ import annotations

import asyncio
import getpass
from pathlib import Path

import pytest
from control.bench import bench, small_manifest
from kopf._core.reactor.inventory import ResourceMemories
from kube import Fault
from selfreward.control.kopf_memory import NoMemories


async def test_watches_begin_for_a_user_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr(getpass, "getuser", nobody)
    async with bench(tmp_path) as made:
        made.start()
        await made.cluster.until(lambda: made.cluster.requests.count("watch") == 6, timeout=5)


async def test_watches_that_cannot_begin_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> str:
        raise RuntimeError("no way")

    monkeypatch.setattr("selfreward.control.operator.watch", broken)
    async with bench(tmp_path) as made:
        made.start()
        await made.cluster.idle(5)
    told = [record for record in caplog.records if record.message == "the watches failed"]
    assert told
    assert "no way" in str(told[0].exc_info)


async def test_a_watch_that_fails_takes_the_others_with_it(tmp_path: Path) -> None:
    """Left to itself kopf lets them run, and every event is told once more than before."""
    async with bench(tmp_path) as made:
        made.cluster.faults.add(Fault(answer=422, on="list pods", user_agent="kopf"))
        made.start()
        await made.cluster.idle(60)
        watchers = [task for task in asyncio.all_tasks() if task.get_name().startswith("watcher for ")]
        opened = made.cluster.requests.count("watch")
    assert len(watchers) == 6
    assert opened > 6


async def test_kopf_remembers_nothing_of_an_object(tmp_path: Path) -> None:
    """Its own memories hold every object for ever. Were they to change, `kopf_memory` would have to follow, or go."""
    body = {"metadata": {"uid": "a"}}
    own, ours = ResourceMemories(), NoMemories()
    for memories in (own, ours):
        await memories.recall(body, noticed_by_listing=True)
    assert (len(list(own.iter_all_memories())), len(list(ours.iter_all_memories()))) == (1, 0)

    handed: list[ResourceMemories] = []

    class Noted(NoMemories):  # type: ignore[misc]
        async def recall(self, *args: object, **options: object) -> object:
            handed.append(self)
            return await super().recall(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("selfreward.control.watching.NoMemories", Noted)
        async with bench(tmp_path) as made:
            made.cluster.create(small_manifest(tmp_path))
            made.start()
            await made.cluster.idle(10)
    assert handed, "kopf asks them at every event"
    assert [each for memories in handed for each in memories.iter_all_memories()] == []
