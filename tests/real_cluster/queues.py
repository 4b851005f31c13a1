"""Queues of a real Kueue, as its administrator makes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest

from real_cluster.api import Api, Object
from real_cluster.ground import Ground

QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL: Final = "kueue.x-k8s.io/priority-class"
ON_NODES: Final[Mapping[str, str]] = {"kubernetes.io/os": "linux"}
"""What the queue's flavor says of its nodes: any."""


@dataclass(frozen=True)
class Queue:
    """A LocalQueue in a namespace of its own, with a ClusterQueue and a flavor of the same name."""

    api: Api
    namespace: str
    cpu: str

    async def open(self, *, stop: str = "None") -> None:
        """Let in what fits; with `stop="Hold"` nothing, and with `HoldAndDrain` out with what is in."""
        quota = {"name": "cpu", "nominalQuota": self.cpu}
        group = {"coveredResources": ["cpu"], "flavors": [{"name": self.namespace, "resources": [quota]}]}
        spec = {
            "namespaceSelector": {},
            "resourceGroups": [group],
            "stopPolicy": stop,
            "preemption": {"withinClusterQueue": "LowerPriority"},
        }
        await self.api.apply(_object("ClusterQueue", self.namespace, spec=spec))

    async def used(self) -> str:
        """How many CPUs it has given away."""
        found = await self.api.get("ClusterQueue", None, self.namespace)
        (flavor,) = (found or {})["status"]["flavorsUsage"]
        (resource,) = flavor["resources"]
        return str(resource["total"])

    async def workloads(self) -> list[Object]:
        """What queues in it."""
        return await self.api.list("Workload", self.namespace)

    def put(self, run: Object, *, priority: str = "", **spec: Any) -> Object:
        """The run, in this queue."""
        run["metadata"]["labels"] = {QUEUE_LABEL: self.namespace} | ({PRIORITY_LABEL: priority} if priority else {})
        run["spec"] |= spec
        return run


@asynccontextmanager
async def queue(api: Api, ground: Ground, namespace: str, cpu: str, *, stop: str = "None") -> AsyncIterator[Queue]:
    """A namespace with a queue of so many CPUs; skips the test where there is no Kueue."""
    if await api.get("CustomResourceDefinition", None, "clusterqueues.kueue.x-k8s.io") is None:
        pytest.skip("this cluster has no Kueue")
    made = Queue(api, await ground.open(namespace), cpu)
    await api.apply(_object("ResourceFlavor", namespace, spec={"nodeLabels": dict(ON_NODES)}))
    await made.open(stop=stop)
    await api.apply(_object("LocalQueue", namespace, namespace, spec={"clusterQueue": namespace}))
    yield made
    await api.delete("LocalQueue", namespace, namespace)
    await api.delete("ClusterQueue", None, namespace)
    await api.delete("ResourceFlavor", None, namespace)


@asynccontextmanager
async def priorities(api: Api, **values: int) -> AsyncIterator[None]:
    """Classes that a run's label can name."""
    for name, value in values.items():
        await api.apply(_object("WorkloadPriorityClass", name, value=value))
    yield
    for name in values:
        await api.delete("WorkloadPriorityClass", None, name)


def told(item: Object) -> dict[str, str]:
    """Status and reason of each condition."""
    conditions = (item.get("status") or {}).get("conditions") or []
    return {each["type"]: f"{each['status']}/{each['reason']}" for each in conditions}


def _object(kind: str, name: str, namespace: str | None = None, **content: Any) -> Object:
    metadata = {"name": name} | ({} if namespace is None else {"namespace": namespace})
    return {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": metadata, **content}
