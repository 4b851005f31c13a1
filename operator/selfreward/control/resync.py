"""The resync: lists of everything, now and then, which fill the cache at first and mend what watches miss later.

A watch that is deaf is found out here too: what one list saw and the watch has still not told by the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Final

from selfreward.cluster.kubernetes import Cache, KubernetesClient
from selfreward.cluster.kubernetes.resources import ALWAYS, OPTIONAL, RUNS, Object, View, uid_of, version_of
from selfreward.control.keys import RunKey, key_of
from selfreward.render.metadata import RUN
from selfreward.render.resource import Resource

RESYNC_SECONDS: Final = 120.0

logger = logging.getLogger(__name__)


class Resync:
    """Keeps the cache like the cluster, by lists now and then and by what watches tell."""

    def __init__(
        self,
        client: KubernetesClient,
        cache: Cache,
        namespaces: Iterable[str],
        enqueue: Callable[[RunKey], None],
    ) -> None:
        """Without `namespaces` all of the cluster's are listed."""
        self._client = client
        self._cache = cache
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._enqueue = enqueue
        self._runs: dict[str, int] = {}
        """Newest version seen of each run, by uid."""
        self._heard: dict[str, int] = {}
        """Newest version that a watch told, by uid."""
        self._owed: dict[Resource, dict[str, int]] = {}
        """What the last list saw and the watch had not told, by type and uid."""

    def told(self, resource: Resource, gone: bool, item: View) -> None:
        """A watch has told of an object."""
        self._heard[uid_of(item)] = version_of(item)
        if resource is RUNS:
            is_news = gone or self._runs.get(uid_of(item)) != version_of(item)
            self._runs[uid_of(item)] = version_of(item)
        elif gone:
            is_news = self._cache.remove(resource, item)
        else:
            is_news = self._cache.put(resource, item)
        key = key_of(resource, item)
        if is_news and key is not None:
            self._enqueue(key)
        if gone:
            self._runs.pop(uid_of(item), None)
            self._heard.pop(uid_of(item), None)

    @property
    def run_uids(self) -> Collection[str]:
        """Uids of the runs that the cluster has."""
        return self._runs.keys()

    async def served(self) -> frozenset[Resource]:
        """Which of the optional resource types the cluster has now."""
        return frozenset([resource for resource in OPTIONAL if await self._client.serves(resource)])

    async def all(self, served: Collection[Resource], *, every_run: bool = False) -> frozenset[Resource]:
        """List everything and put the runs of what has changed on the queue (or every run); returns the types whose
        watch is deaf."""
        deaf = set()
        for resource in (*ALWAYS, *served):
            items, version = await self._list(resource)
            if self._is_deaf(resource, items):
                deaf.add(resource)
            if resource is RUNS:
                news = [item for item in items if every_run or self._runs.get(uid_of(item), 0) < version_of(item)]
                self._runs = {uid_of(item): version_of(item) for item in items}
            else:
                news = self._cache.replace(resource, items, version)
            for key in {key_of(resource, item) for item in news}:
                if key is not None:
                    self._enqueue(key)
        for resource in set(OPTIONAL).difference(served):
            self._cache.replace(resource, [], 2**63)
        return frozenset(deaf)

    async def _list(self, resource: Resource) -> tuple[list[Object], int]:
        items: list[Object] = []
        versions = []
        for namespace in self._namespaces:
            if resource is RUNS:
                listed = await self._client.list(RUNS, namespace, keep=_known_of)
            else:
                listed = await self._client.list(resource, namespace, RUN, keep=partial(self._cache.kept, resource))
            items += listed.items
            versions.append(listed.version)
        return items, min(versions)

    def _is_deaf(self, resource: Resource, items: Iterable[View]) -> bool:
        """Whether a watch has told of nothing that the last list saw and that it owed.

        One that has told of a part is behind, not deaf: to open it anew would have it begin again with what it was
        busy with, thousands of objects after a start, and it might never come to an end.
        """
        listed = {uid_of(item): item for item in items}
        is_missed: dict[str, list[bool]] = {}
        for uid, version in self._owed.get(resource, {}).items():
            if uid in listed:
                is_missed.setdefault(self._watch_of(listed[uid]), []).append(self._heard.get(uid, 0) < version)
        versions = {uid: version_of(item) for uid, item in listed.items()}
        self._owed[resource] = {uid: each for uid, each in versions.items() if self._heard.get(uid, 0) < each}
        missed = sum(len(each) for each in is_missed.values() if all(each))
        if missed:
            logger.warning("the watch of %s has told of none of %d objects", resource.plural, missed)
        return missed > 0

    def _watch_of(self, item: View) -> str:
        """Which watch tells of an object: one for all namespaces, or one for each."""
        return "" if None in self._namespaces else str(item["metadata"]["namespace"])


def _known_of(run: View) -> Object:
    """A run is read anew at each look."""
    names = ("uid", "namespace", "name", "resourceVersion")
    return {"metadata": {name: run["metadata"][name] for name in names}}
