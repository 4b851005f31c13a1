"""A client of the API server: a few verbs on plain data, over `kubernetes.aio`.

One place sends requests, so that every one has a timeout and every answer is one of :mod:`.errors`. It retries
nothing: whoever asks knows whether the question is still the right one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from kubernetes.aio.client import ApiClient
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.client.rest import RESTResponse

from selfreward.cluster.kubernetes.errors import Conflict, NotFound, Unavailable, error_of
from selfreward.cluster.kubernetes.resources import PODS, Object, View, name_of
from selfreward.render.resource import Resource

FIELD_MANAGER: Final = "selfreward"
TIMEOUT: Final = 30.0
READ_TIMEOUT: Final = 10.0
"""Of one object or a log's end, which no admission webhook delays: where a connection was cut off silently on its way,
nothing else tells that no answer will come."""
CONNECT_TIMEOUT: Final = 5.0
LOG_BYTES: Final = 1 << 18
"""Of a log's end, what is read at least; up to twice as much is kept meanwhile."""
CHUNK: Final = 250
"""Objects in one page of a list."""
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Listed:
    """The answer to a list: all objects that it found, and how new it is."""

    items: list[Object]
    version: int


class KubernetesClient:
    """The requests that the operator sends. Every method may raise a :class:`.errors.KubernetesError`."""

    def __init__(
        self, client: ApiClient, timeout: float = TIMEOUT, may_write: Callable[[], bool] = lambda: True
    ) -> None:
        """`may_write` is asked right before each request that changes anything: a process that has lost the lead must
        not send what it decided while it had it."""
        self._client = client
        self._may_write = may_write
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT)
        self._brief = aiohttp.ClientTimeout(total=min(timeout, READ_TIMEOUT), sock_connect=CONNECT_TIMEOUT)

    def check_lead(self, what: str) -> None:
        """Raise Unavailable where this process must not change anything any more."""
        if not self._may_write():
            raise Unavailable(f"{what}: not done: the lead is lost, or not renewed in time")

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """One object as it is now; `namespace` None for a type that has none."""
        return await self._json("GET", resource.path(namespace, name), timeout=self._brief)

    async def list(
        self,
        resource: Resource,
        namespace: str | None,
        labels: str = "",
        fields: str = "",
        keep: Callable[[View], Object] = dict,
    ) -> Listed:
        """What `keep` keeps of each object of a type, in one namespace or in all, that the selectors let through.

        Page by page: never more than one of them is in memory as the API server sends it.
        """
        items: list[Object] = []
        selectors = {"labelSelector": labels, "fieldSelector": fields}
        query = {"limit": str(CHUNK), **{name: selector for name, selector in selectors.items() if selector}}
        while True:
            page = await self._json("GET", resource.path(namespace), query)
            # Items of a list may come without what the list says of all of them.
            whole = {"apiVersion": resource.api_version, "kind": resource.kind}
            items += [keep({**whole, **item}) for item in page["items"]]
            following = page["metadata"].get("continue")
            if not following:
                return Listed(items, int(page["metadata"].get("resourceVersion") or 0))
            query["continue"] = following

    async def apply(self, resource: Resource, manifest: View) -> Object:
        """Server-side apply, as the one owner of the fields in `manifest`."""
        namespace, name = manifest["metadata"]["namespace"], name_of(manifest)
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._json("PATCH", resource.path(namespace, name), query, manifest, _APPLY)

    async def create(self, resource: Resource, manifest: View) -> Object:
        """Create; Conflict when the name is taken."""
        path = resource.path(manifest["metadata"]["namespace"])
        return await self._json("POST", path, {"fieldManager": FIELD_MANAGER}, manifest)

    async def create_if_absent(self, resource: Resource, manifest: View) -> None:
        """Create, unless there is one of that name, whatever it holds."""
        try:
            await self.create(resource, manifest)
        except Conflict as error:
            if error.reason != "AlreadyExists":
                raise

    async def replace(self, resource: Resource, item: View, subresource: str = "") -> Object:
        """Write `item` if it still has the resourceVersion it says; Conflict otherwise."""
        path = resource.path(item["metadata"]["namespace"], name_of(item), subresource)
        return await self._json("PUT", path, {"fieldManager": FIELD_MANAGER}, item)

    async def merge(self, resource: Resource, namespace: str, name: str, patch: View) -> Object:
        """Merge-patch; with a resourceVersion in it, Conflict when it is another."""
        query = {"fieldManager": FIELD_MANAGER}
        return await self._json("PATCH", resource.path(namespace, name), query, patch, _MERGE)

    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str, propagation: str = "Foreground"
    ) -> None:
        """Delete the object if it still has that uid; nothing happens when it is gone or another.

        In the foreground it stays visible until its last pod is gone, so nobody takes its GPUs for free.
        """
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
            "preconditions": {"uid": uid},
        }
        await self._json("DELETE", resource.path(namespace, name), {}, options)

    async def log(self, namespace: str, pod: str, container: str, lines: int) -> str:
        """The last lines of a container's log, each after the time at which it was written.

        No more than :data:`LOG_BYTES` of them are in memory at a time: a line may be as long as a file.
        """
        query = {"container": container, "tailLines": str(lines), "timestamps": "true"}
        path = PODS.path(namespace, pod, "log")
        return (await self._send("GET", path, query, read=_end, timeout=self._brief)).decode(errors="replace")

    async def version(self) -> str:
        """The API server's version, such as `v1.36.0`."""
        return str((await self._json("GET", "/version")).get("gitVersion", "unknown"))

    async def serves(self, resource: Resource) -> bool:
        """Whether the cluster has that resource type."""
        try:
            found = await self._json("GET", resource.path(None).rpartition("/")[0])
        except NotFound:
            return False
        return any(each["name"] == resource.plural for each in found.get("resources", []))

    async def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: View | None = None,
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> Object:
        data = await self._send(method, path, query, body, content_type, timeout=timeout)
        try:
            answer: Object = json.loads(data)
        except ValueError as error:
            raise Unavailable(f"{method} {path}: the answer is no JSON") from error
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: View | None = None,
        content_type: str = "application/json",
        read: Callable[[RESTResponse], Awaitable[bytes]] = RESTResponse.read,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> bytes:
        try:
            sent = await self._client.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json, */*", "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
            )
            if method != "GET":
                self.check_lead(f"{method} {path}")
            response = await self._client.call_api(*sent, _request_timeout=timeout or self._timeout)
            data = await read(response)
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            raise Unavailable(f"{method} {path}: {str(error) or type(error).__name__}") from error
        except ApiException as error:
            raise error_of(error.status or 503, error.reason or "", str(error.reason), 0) from error
        if response.status < 300:
            return data
        reason, message, seconds = _told(data)
        seconds = max(seconds, _seconds(response.headers.get("Retry-After")))
        raise error_of(response.status, reason, f"{method} {path}: {message or response.reason}", seconds)


async def _end(response: RESTResponse) -> bytes:
    """The end of an answer that is not kept whole; the line that it begins in is left out."""
    kept = bytearray()
    # Left, it gives its connection back, also where the other side has broken off.
    async with response.response as answer:
        async for chunk in answer.content.iter_any():
            kept += chunk
            if len(kept) > 2 * LOG_BYTES:
                del kept[:-LOG_BYTES]
                kept = kept[kept.find(b"\n") + 1 :]
    return bytes(kept)


def _told(data: bytes) -> tuple[str, str, float]:
    """Reason, message and wait of a Status object; a proxy on the way may answer anything."""
    try:
        status: Any = json.loads(data)
        details = status.get("details") or {}
        return str(status.get("reason") or ""), str(status.get("message") or ""), details.get("retryAfterSeconds") or 0
    except (ValueError, AttributeError):
        return "", data[:200].decode(errors="replace"), 0


def _seconds(header: str | None) -> float:
    try:
        return float(header or 0)
    except ValueError:  # a date: no server of ours sends one
        return 0
