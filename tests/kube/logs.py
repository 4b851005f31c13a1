"""What containers print, and `GET …/pods/NAME/log`: tail, since, timestamps, previous and follow."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from kube import errors
from kube.clock import Clock
from kube.storage import Object


@dataclass
class _Stream:
    lines: list[tuple[datetime, str]] = field(default_factory=list)
    ended: bool = False


class PodLogs:
    """The logs of every container run, by pod uid, container and restart count."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._streams: dict[tuple[str, str, int], _Stream] = defaultdict(_Stream)
        self._news = asyncio.Condition()

    async def write(self, uid: str, container: str, restart: int, text: str) -> None:
        """Append one line, stamped with the cluster's time."""
        self._streams[uid, container, restart].lines.append((self._clock.now(), text))
        await self._notify()

    async def end(self, uid: str, container: str, restart: int) -> None:
        """That run of the container is over: who follows its log is done."""
        self._streams[uid, container, restart].ended = True
        await self._notify()

    async def read(self, pod: Object, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """The log as the query asks for it. Raises ApiError 400 where the kubelet would have nothing to read."""
        container = query.get("container") or pod["spec"]["containers"][0]["name"]
        stream = self._streams[pod["metadata"]["uid"], container, self._restart(pod, container, query)]
        at = self._first(stream, query)
        follows = query.get("follow") in ("true", "1")
        while True:
            for moment, text in stream.lines[at:]:
                prefix = f"{moment.isoformat().replace('+00:00', 'Z')} " if query.get("timestamps") == "true" else ""
                yield f"{prefix}{text}\n".encode()
            at = len(stream.lines)
            if not follows or stream.ended:
                return
            async with self._news:
                await self._news.wait()

    def _restart(self, pod: Object, container: str, query: Mapping[str, str]) -> int:
        status = pod.get("status", {})
        found = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        state = next((each for each in found if each["name"] == container), None)
        name = pod["metadata"]["name"]
        if state is None or ("waiting" in state["state"] and not state.get("restartCount")):
            reason = state["state"]["waiting"]["reason"] if state else "PodInitializing"
            raise errors.bad_request(f'container "{container}" in pod "{name}" is waiting to start: {reason}')
        waits = "waiting" in state["state"]
        restart = int(state["restartCount"]) - (1 if waits else 0)
        if query.get("previous") in ("true", "1"):
            restart -= 0 if waits else 1
            if restart < 0:
                raise errors.bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
        return restart

    def _first(self, stream: _Stream, query: Mapping[str, str]) -> int:
        """Index of the first line to show."""
        since = None
        if query.get("sinceSeconds"):
            since = self._clock.now() - timedelta(seconds=int(query["sinceSeconds"]))
        elif query.get("sinceTime"):
            since = datetime.fromisoformat(query["sinceTime"]).astimezone(UTC)
        early = 0 if since is None else sum(moment < since for moment, _ in stream.lines)
        tail = query.get("tailLines")
        return early if tail is None else max(early, len(stream.lines) - int(tail))

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()
