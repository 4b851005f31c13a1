"""Watches: replay, live events, selectors, bookmarks, timeouts, 410 and the faults of events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kube import WatchFault, WatchFaultKind
from kube.calls import CONFIG_MAPS, Calls, Serve, calling, config_map

Event = tuple[str, str]


class Seen:
    """Collects a watch's events in the background."""

    def __init__(self, call: Calls, path: str = CONFIG_MAPS, **query: str) -> None:
        self.events: list[dict[str, Any]] = []
        self._task = asyncio.ensure_future(self._collect(call, path, query))

    async def _collect(self, call: Calls, path: str, query: dict[str, str]) -> None:
        async for event in call.watch(path, **query):
            self.events.append(event)

    @property
    def ended(self) -> bool:
        return self._task.done()

    def short(self) -> list[Event]:
        return [(event["type"], event["object"]["metadata"].get("name", "")) for event in self.events]

    def data(self) -> list[Any]:
        return [event["object"].get("data") for event in self.events]


async def set_data(call: Calls, value: str, name: str = "map") -> None:
    await call.edit("ConfigMap", name, lambda item: item.update(data={"a": value}))


async def test_live_events(server: Serve) -> None:
    async with server() as call:
        seen = Seen(call, resourceVersion=await call.revision())
        await call.idle(1)
        await call.create(config_map(a="1"))
        await set_data(call, "2")
        await call.delete("ConfigMap", "map")
        await call.idle(1)
    assert seen.short() == [("ADDED", "map"), ("MODIFIED", "map"), ("DELETED", "map")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in seen.events]
    assert versions == sorted(set(versions))
    assert seen.data() == [{"a": "1"}, {"a": "2"}, {"a": "2"}]


async def test_replay_from_a_version(server: Serve) -> None:
    async with server() as call:
        made = await call.create(config_map(a="1"))
        await set_data(call, "2")
        await set_data(call, "3")
        seen = Seen(call, resourceVersion=made["metadata"]["resourceVersion"])
        await call.idle(1)
    assert seen.data() == [{"a": "2"}, {"a": "3"}]


@pytest.mark.parametrize("version", ["", "0"])
async def test_without_a_version_the_watch_begins_with_what_is_there(server: Serve, version: str) -> None:
    async with server() as call:
        await call.create(config_map("old"))
        seen = Seen(call, **({"resourceVersion": version} if version else {}))
        await call.idle(1)
        await call.create(config_map("new"))
        await call.idle(1)
    assert seen.short() == [("ADDED", "old"), ("ADDED", "new")]


async def test_initial_events_end_with_a_bookmark(server: Serve) -> None:
    async with server() as call:
        await call.create(config_map())
        options = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
        seen = Seen(call, **options)
        await call.idle(1)
    if "RequestWatchProgress is disabled" in str(seen.events[0]["object"].get("message")):
        pytest.skip("this server's etcd is too old for streaming lists")
    assert [event["type"] for event in seen.events] == ["ADDED", "BOOKMARK"]
    assert seen.events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_selector_turns_changes_into_coming_and_going(server: Serve) -> None:
    def label(value: str) -> Callable[[dict[str, Any]], None]:
        return lambda item: item["metadata"].update(labels={"app": value})

    async with server() as call:
        await call.create(config_map())
        seen = Seen(call, labelSelector="app=x", resourceVersion=await call.revision())
        for value in ("y", "x", "x2", "x"):
            await call.edit("ConfigMap", "map", label(value))
        await set_data(call, "1")
        await call.idle(1)
    assert [event["type"] for event in seen.events] == ["ADDED", "DELETED", "ADDED", "MODIFIED"]
    assert seen.events[1]["object"]["metadata"]["labels"] == {"app": "x"}


async def test_one_object_can_be_watched(server: Serve) -> None:
    async with server() as call:
        seen = Seen(call, fieldSelector="metadata.name=b")
        for name in "abc":
            await call.create(config_map(name))
        await call.idle(1)
    assert seen.short() == [("ADDED", "b")]


async def test_bookmarks_come_every_minute(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        seen = Seen(call, allowWatchBookmarks="true")
        plain = Seen(call)
        await call.cluster.idle(1)
        call.cluster.create(config_map())
        await call.cluster.idle(130)
        version = str(call.cluster.api.storage.revision)
    assert [event["type"] for event in seen.events] == ["ADDED", "BOOKMARK", "BOOKMARK"]
    assert seen.events[-1]["object"]["metadata"]["resourceVersion"] == version
    assert [event["type"] for event in plain.events] == ["ADDED"]


async def test_the_server_ends_a_watch_in_time(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        short, usual = Seen(call, timeoutSeconds="30"), Seen(call)
        await call.cluster.idle(29)
        assert not short.ended
        await call.cluster.idle(2)
        assert short.ended
        assert not usual.ended
        await call.cluster.idle(2400)
        assert usual.ended


async def test_a_version_that_is_too_old_is_an_error_event(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        made = call.cluster.create(config_map())
        await set_data(call, "2")
        call.cluster.compact()
        seen = Seen(call, resourceVersion=made["metadata"]["resourceVersion"])
        await call.cluster.idle(1)
        assert seen.ended
    assert [event["type"] for event in seen.events] == ["ERROR"]
    assert seen.events[0]["object"]["code"] == 410


async def test_a_watch_that_cannot_begin(server: Serve) -> None:
    async with server() as call:
        selector = await call("GET", CONFIG_MAPS, watch="true", fieldSelector="spec.x=1")
    assert selector.code == 400


async def test_a_watch_from_the_future_is_silent(server: Serve) -> None:
    async with server() as call:
        seen = Seen(call, resourceVersion="999999999", timeoutSeconds="3")
        await call.idle(1)
        await call.create(config_map())
        assert not seen.ended
        await call.idle(5)
        assert seen.ended
    assert seen.events == []


FAULTS: list[tuple[WatchFaultKind, list[Any], bool]] = [
    (WatchFaultKind.DROP, ["1", "3"], False),
    (WatchFaultKind.DUPLICATE, ["1", "2", "2", "3"], False),
    (WatchFaultKind.STALE, ["1", "1", "2", "3"], False),
    (WatchFaultKind.STALL, ["1"], False),
    (WatchFaultKind.GONE, ["1", 410], True),
    (WatchFaultKind.CLOSE, ["1"], True),
]


@pytest.mark.parametrize(("kind", "expected", "ended"), [pytest.param(*case, id=case[0].value) for case in FAULTS])
async def test_faults_of_events(tmp_path: Path, kind: WatchFaultKind, expected: list[Any], ended: bool) -> None:
    async with calling(tmp_path) as call:
        call.cluster.faults.on_watch(WatchFault(kind, plural="configmaps", nth=2))
        seen = Seen(call, allowWatchBookmarks="true")
        await call.cluster.idle(1)
        call.cluster.create(config_map(a="1"))
        for value in "23":
            await set_data(call, value)
        await call.cluster.idle(59)
        assert seen.ended is ended
        assert len(call.cluster.faults.injected) == 1
    shown = [event["object"].get("code") or event["object"]["data"]["a"] for event in seen.events]
    assert shown == expected


async def test_a_stalled_watch_shows_no_bookmark_and_stays_open(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        call.cluster.faults.on_watch(WatchFault(WatchFaultKind.STALL))
        seen = Seen(call, allowWatchBookmarks="true", timeoutSeconds="100")
        await call.cluster.idle(1)
        call.cluster.create(config_map())
        await call.cluster.idle(3600)
        assert not seen.ended
    assert seen.events == []


async def test_what_was_stale_becomes_true_with_the_next_bookmark(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        call.cluster.faults.on_watch(WatchFault(WatchFaultKind.STALE, nth=2))
        seen = Seen(call, allowWatchBookmarks="true")
        await call.cluster.idle(1)
        call.cluster.create(config_map(a="1"))
        await set_data(call, "2")
        await call.cluster.idle(30)
        before = seen.data()
        await call.cluster.idle(60)
    assert before == [{"a": "1"}, {"a": "1"}]
    assert seen.data()[2] == {"a": "2"}
    assert seen.events[3]["type"] == "BOOKMARK"
