"""WATCH: replay from a resourceVersion, live events, bookmarks, timeouts, 410, and the plan's faults.

Source: kubernetes.io, "Kubernetes API Concepts" (efficient detection of changes; watch bookmarks; streaming lists)
and k8s.io/apiserver `pkg/storage/cacher`: a version that is too old is an ERROR event within a 200 answer, and an
object that stops matching a selector is DELETED for that watch.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kube import errors
from kube.clock import GRAIN, Clock
from kube.faults import FaultPlan, WatchFaultKind
from kube.kinds import Kind
from kube.listing import parse_revision, selection
from kube.requests import Request
from kube.selectors import Matches
from kube.storage import Change, Object, Storage, copied

BOOKMARK_SECONDS: Final = 60.0
DEFAULT_TIMEOUT: Final = 2400.0
"""The API server draws between 30 and 60 minutes (`--min-request-timeout`); drawn once and for all."""

Event = dict[str, Any]


class WatchEnd(Exception):
    """The stream ends here."""


@dataclass
class Watch:
    """One open watch."""

    storage: Storage
    clock: Clock
    faults: FaultPlan
    request: Request
    closing: asyncio.Event
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _held: list[Event] = field(default_factory=list)
    """True events whose stale twin was delivered."""

    def check(self) -> None:
        """Raise ApiError for what is refused before the stream begins: bad selectors, a version that is no number."""
        selection(self.request.kind, self.request.namespace, self.request.query)
        since = self.request.query.get("resourceVersion", "")
        if since:
            parse_revision(since)

    async def run(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Send events, one JSON line each, until the watch ends."""
        stop = self.storage.listen(self._listen)
        try:
            async for event in self._events():
                await send(self._line(event))
        except WatchEnd:
            pass
        finally:
            stop()

    def _line(self, event: Event) -> bytes:
        shown = event["object"]
        is_kept = event["type"] not in ("BOOKMARK", "ERROR")
        text = self.storage.text(shown) if is_kept else json.dumps(shown)
        return f'{{"type": "{event["type"]}", "object": {text}}}\n'.encode()

    def _listen(self, change: Change) -> None:
        if change.kind == self.request.kind:
            self._news.set()

    async def _events(self) -> AsyncIterator[Event]:
        query, kind = self.request.query, self.request.kind
        matches = selection(kind, self.request.namespace, query, self.request.name)
        ends = self.clock.seconds + float(query.get("timeoutSeconds") or DEFAULT_TIMEOUT)
        bookmark = self.clock.seconds + BOOKMARK_SECONDS
        wants_bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
        since = query.get("resourceVersion", "")
        cursor = self.storage.revision
        if since in ("", "0") or query.get("sendInitialEvents") == "true":
            for event in self._initial(kind, matches, query):
                yield event
        else:
            cursor = parse_revision(since)  # from the future it is silence until then, not an error as a list's is
            if cursor < self.storage.compacted:
                yield {"type": "ERROR", "object": errors.expired(f"too old resource version: {since}").as_status()}
                return
        while self.clock.seconds < ends and not self.closing.is_set():
            self._news.clear()
            for change in list(self.storage.changes(kind, cursor)):
                cursor = change.revision
                async for event in self._of(change, matches):
                    yield event
            if wants_bookmarks and self.clock.seconds >= bookmark:
                for event in self._released():
                    yield event
                yield _bookmark(kind, cursor)
                bookmark = self.clock.seconds + BOOKMARK_SECONDS
            await self._wait(min(ends, bookmark) if wants_bookmarks else ends)

    def _initial(self, kind: Kind, matches: Matches, query: Mapping[str, str]) -> list[Event]:
        revision = self.storage.revision
        events = [{"type": "ADDED", "object": item} for item in self.storage.peek(kind) if matches(item)]
        if query.get("sendInitialEvents") == "true":
            events.append(_bookmark(kind, revision, **{"k8s.io/initial-events-end": "true"}))
        return events

    async def _of(self, change: Change, matches: Matches) -> AsyncIterator[Event]:
        """The events that `change` is for this watch: mostly one, none or two under a fault."""
        event = _event(change, matches)
        if event is None:
            return
        match self.faults.for_event(self.request.plural, self.request.user_agent):
            case WatchFaultKind.DROP:
                return
            case WatchFaultKind.DUPLICATE:
                yield event
                yield event
            case WatchFaultKind.STALE if change.before is not None and event["type"] == "MODIFIED":
                self._held.append(event)
                yield {"type": "MODIFIED", "object": change.before}
            case WatchFaultKind.STALL:
                await self.closing.wait()
                raise WatchEnd
            case WatchFaultKind.GONE:
                gone = errors.expired(f"too old resource version: {change.revision}")
                yield {"type": "ERROR", "object": gone.as_status()}
                raise WatchEnd
            case WatchFaultKind.CLOSE:
                raise WatchEnd
            case _:
                for held in self._released():
                    yield held
                yield event

    def _released(self) -> list[Event]:
        held, self._held = self._held, []
        return held

    async def _wait(self, until: float) -> None:
        """Until something happens, or that time comes."""
        waiters = [asyncio.ensure_future(self._news.wait()), asyncio.ensure_future(self.closing.wait())]
        try:
            timeout = max(GRAIN, until - self.clock.seconds)
            await asyncio.wait(waiters, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()


def _event(change: Change, matches: Matches) -> Event | None:
    was = change.before is not None and matches(change.before)
    now = change.after is not None and matches(change.after)
    match was, now:
        case True, True:
            return {"type": "MODIFIED", "object": change.after}
        case False, True:
            return {"type": "ADDED", "object": change.after}
        case True, False:
            return {"type": "DELETED", "object": _as_last_seen(change)}
        case _:
            return None


def _as_last_seen(change: Change) -> Object:
    """What a watch is told of an object that goes: as it was, at the revision of its going."""
    assert change.before is not None
    last = copied(change.before)
    last["metadata"]["resourceVersion"] = str(change.revision)
    return last


def _bookmark(kind: Kind, revision: int, **annotations: str) -> Event:
    metadata: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    return {
        "type": "BOOKMARK",
        "object": {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata},
    }
