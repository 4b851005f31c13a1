"""The removal of children: of one that a decision names, or of all that a run has."""

from __future__ import annotations

from selfreward.cluster.kubernetes.cache import Cache
from selfreward.cluster.kubernetes.children import place_of
from selfreward.cluster.kubernetes.client import KubernetesClient
from selfreward.cluster.kubernetes.errors import Conflict, NotFound
from selfreward.cluster.kubernetes.pods import is_over
from selfreward.cluster.kubernetes.resources import PODS, WORKLOADS, Object, View, belongs, is_going, name_of, uid_of
from selfreward.plan import DeleteChild
from selfreward.render.resource import Resource


def pods_of(cache: Cache, namespace: str, run_uid: str) -> list[Object]:
    """The pods that bear the run's labels in its namespace: elsewhere anybody may have put them on."""
    return [pod for pod in cache.of_run(PODS, run_uid) if pod["metadata"]["namespace"] == namespace]


class Removal:
    """Deletions of what the cache knows of."""

    def __init__(self, client: KubernetesClient, cache: Cache) -> None:
        self._client = client
        self._cache = cache

    async def child(self, namespace: str, run_uid: str, child: DeleteChild) -> None:
        """Begin to delete one child, if it still has that uid."""
        for resource in WORKLOADS:
            found = self._cache.find(resource, namespace, run_uid, child.name)
            if found is not None and uid_of(found) == child.uid:
                await self._delete(resource, namespace, found)
                return
        for pod in pods_of(self._cache, namespace, run_uid):
            if child.uid == f"pods-of-{uid_of(pod)}":
                await self._delete_leftovers(namespace, run_uid, pod)

    async def all(self, namespace: str, run_uid: str) -> bool:
        """Begin to delete whatever a run has; returns whether anything is still there."""
        workloads = [
            (resource, item)
            for resource in WORKLOADS
            for item in self._cache.of_run(resource, run_uid)
            if belongs(item, namespace, run_uid)
        ]
        pods = [pod for pod in pods_of(self._cache, namespace, run_uid) if not is_over(pod)]
        # The pods of a workload go with it; those that are left without one go by themselves.
        for resource, item in workloads or [(PODS, pod) for pod in pods]:
            if not is_going(item):
                await self._delete(resource, namespace, item)
        return bool(workloads or pods)

    async def _delete(self, resource: Resource, namespace: str, item: View) -> None:
        name, uid = name_of(item), uid_of(item)
        try:
            await self._client.delete(resource, namespace, name, uid)
        except NotFound:
            self._cache.remove(resource, item)
        except Conflict:
            # Another object of that name, or only a busy one: look, for what is forgotten is never seen again.
            if await self._is_there(resource, namespace, name, uid):
                raise
            self._cache.remove(resource, item)

    async def _is_there(self, resource: Resource, namespace: str, name: str, uid: str) -> bool:
        try:
            return uid_of(await self._client.get(resource, namespace, name)) == uid
        except NotFound:
            return False

    async def _delete_leftovers(self, namespace: str, run_uid: str, one: View) -> None:
        for pod in pods_of(self._cache, namespace, run_uid):
            if place_of(pod)[:2] == place_of(one)[:2] and not is_over(pod):
                await self._delete(PODS, namespace, pod)
