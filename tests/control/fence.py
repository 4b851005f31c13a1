"""Invariant 8: what the operator does for a run stays within what that run's namespace and name can produce.

Every request to the API server and every call of a store is put down to the run that is being looked at, and compared
with what lies there, not with how the operator came to it: the namespace and the owner of what is read, written or
deleted, and the folder that is opened.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from control.bench import Bench
from kube import FakeCluster
from selfreward.cluster.kubernetes import KubernetesClient
from selfreward.control.keys import RunKey
from selfreward.control.operator import Operator
from selfreward.control.reconcile import Reconciler
from selfreward_steps.contract import StoreConfig
from selfreward_steps.store import Manifest, Store, open_store
from selfreward_steps.store.file_store import FileStore

_LOOKING: ContextVar[RunKey | None] = ContextVar("looking", default=None)
"""The run whose look this code is part of."""
_PATH = re.compile(r"/api(?:s/[^/]+)?/[^/]+/namespaces/(?P<namespace>[^/]+)/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?")
_OWN = "selfrewardruns"


class Fence:
    """What has been done for whom; :meth:`start` an operator within it."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.broken: list[str] = []
        self.checked = 0

    def start(self, made: Bench) -> Operator:
        """An operator whose every request and store call is checked."""
        client = _FencedClient(made.cluster.client("operator"), self)
        credentials, now = made.cluster.kopf_credentials, made.cluster.clock.now
        operator = Operator(client, made.settings, credentials, now, open_run_store=self.opened)
        _follow(operator)
        made.started.append(operator)
        made.operators.append(asyncio.create_task(operator.run()))
        return operator

    def opened(self, config: StoreConfig) -> Store:
        """The store of a run, which is a folder."""
        store = open_store(config.uri)
        assert isinstance(store, FileStore)
        self.note_store("opens", store.root)
        return _FencedStore(store.root, self)

    def note_store(self, does: str, path: Path) -> None:
        """A call of a store at a path within it, or its root."""
        key = _LOOKING.get()
        self._expect(key is not None and _lies_within(path, key), f"{key} {does} {path}")

    def note_request(self, method: str, path: str, body: Mapping[str, Any] | None) -> None:
        """A request of the operator, before it is sent. What no run is looked at for concerns all of them."""
        key = _LOOKING.get()
        if key is None:
            self._expect(method == "GET" or "/leases" in path, f"nobody's {method} {path}")
            return
        found = _PATH.fullmatch(path.split("?")[0].removesuffix("/status").removesuffix("/log"))
        if found is None:
            self._expect(method == "GET", f"{key}: {method} {path}")
            return
        self._expect(found["namespace"] == key.namespace, f"{key}: {method} {path}")
        if found["plural"] == _OWN:
            self._expect(found["name"] == key.name, f"{key}: {method} {path}")
        elif method != "GET":
            self._expect(self._is_of(key, found, body), f"{key}: {method} {path}: is no object of the run")

    def _is_of(self, key: RunKey, found: re.Match[str], body: Mapping[str, Any] | None) -> bool:
        """Whether what is written names the run as its owner, and what is deleted is owned by it."""
        run = self._cluster.get("SelfRewardRun", key.name, key.namespace)
        uid = None if run is None else run["metadata"]["uid"]
        if found["plural"] == "events":
            involved = (body or {}).get("involvedObject", {})
            return (involved.get("namespace"), involved.get("name")) == (key.namespace, key.name)
        stored = self._stored(found)
        owned = body if body is not None and "metadata" in body else None
        if stored is None:
            return owned is None or uid in _owners(owned)
        return uid in _owners(stored) or uid in _owners_of_owners(self._cluster, stored) or found["name"] is None

    def _stored(self, found: re.Match[str]) -> Mapping[str, Any] | None:
        for kind in self._cluster.api.installed.values():
            if kind.plural == found["plural"] and found["name"]:
                return self._cluster.get(kind.kind, found["name"], found["namespace"])
        return None

    def _expect(self, holds: bool, what: str) -> None:
        self.checked += 1
        if not holds:
            self.broken.append(f"invariant 8: {what}")


class _FencedClient(KubernetesClient):
    def __init__(self, client: Any, fence: Fence) -> None:
        super().__init__(client)
        self._fence = fence

    async def _send(
        self, method: str, path: str, query: Any = None, body: Any = None, *rest: Any, **more: Any
    ) -> bytes:
        self._fence.note_request(method, path, body)
        return await super()._send(method, path, query, body, *rest, **more)


class _FencedStore(FileStore):
    def __init__(self, root: Path, fence: Fence) -> None:
        super().__init__(root)
        self._fence = fence

    def read_manifest(self, artifact: str) -> Manifest | None:
        self._fence.note_store("reads", self.root / artifact)
        return super().read_manifest(artifact)

    def delete(self, prefix: str) -> None:
        self._fence.note_store("deletes", self.root / prefix)
        super().delete(prefix)


def _follow(operator: Operator) -> None:
    """Note for all that a look does whose look it is."""
    reconciler: Reconciler = operator._reconciler
    look = reconciler.reconcile

    async def reconcile(key: RunKey, **told: float) -> float | None:
        token = _LOOKING.set(key)
        try:
            return await look(key, **told)
        finally:
            _LOOKING.reset(token)

    reconciler.reconcile = reconcile  # type: ignore[method-assign]


def _lies_within(path: Path, key: RunKey) -> bool:
    """Whether the path is the folder `…/namespace=NAMESPACE/NAME` or lies in it, links and `..` resolved."""
    place = path.resolve()
    return any(each.parts[-2:] == (f"namespace={key.namespace}", key.name) for each in (place, *place.parents))


def _owners(item: Mapping[str, Any]) -> set[str]:
    return {each["uid"] for each in item["metadata"].get("ownerReferences") or []}


def _owners_of_owners(cluster: FakeCluster, item: Mapping[str, Any]) -> set[str]:
    """Of a pod: the owners of its job or training, which the run owns."""
    parents = _owners(item)
    kinds = ("Job", "PyTorchJob", "TrainJob", "Deployment", "ReplicaSet")
    found = [each for kind in kinds for each in cluster.peek(kind) if each["metadata"]["uid"] in parents]
    return {uid for each in found for uid in (*_owners(each), *_owners_of_owners(cluster, each))}
