"""The operator's own pods: who leads, what they measure, and their death."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from real_cluster.api import Api, Object

COMPONENT: Final = "app.kubernetes.io/name=selfreward,app.kubernetes.io/component=operator"

Buckets = list[tuple[float, float]]
"""Upper bounds, and how many observations are at most that."""


@dataclass(frozen=True)
class Operators:
    """The replicas of one release."""

    api: Api
    namespace: str
    lease: str
    """Also the name of the Deployment."""

    async def pods(self) -> list[Object]:
        """Those that are not on their way out."""
        pods = await self.api.list("Pod", self.namespace, COMPONENT)
        return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]

    async def leader(self) -> str:
        """Name of the pod that holds the Lease; empty when none does."""
        lease = await self.api.get("Lease", self.namespace, self.lease)
        return str((lease or {}).get("spec", {}).get("holderIdentity") or "")

    async def all_ready(self, replicas: int = 2) -> bool:
        """Whether that many replicas answer, one of them leading."""
        ready = [pod for pod in await self.pods() if _is_ready(pod)]
        return len(ready) == replicas and await self.leader() in {pod["metadata"]["name"] for pod in ready}

    async def delete(self, name: str, grace: int | None = None) -> None:
        """As `kubectl delete pod` does."""
        await self.api.delete("Pod", self.namespace, name, grace=grace)

    async def handoffs(self) -> Buckets:
        """Of all replicas, whichever led: upper bound in seconds and how many hand-offs took at most that."""
        counts: dict[float, float] = {}
        for pod in await self.pods():
            text = await self.api.ask_pod(self.namespace, pod["metadata"]["name"], 8080, "metrics")
            families = {family.name: family for family in text_string_to_metric_families(text)}
            for each in families["selfreward_handoff_seconds"].samples:
                if each.name.endswith("_bucket"):
                    bound = float(each.labels["le"])
                    counts[bound] = counts.get(bound, 0) + each.value
        return sorted(counts.items())

    async def log(self) -> str:
        """What all replicas have said since they started."""
        return "\n".join([await self.api.log(self.namespace, pod["metadata"]["name"]) for pod in await self.pods()])


def kill_outright(pod: str) -> bool:
    """SIGKILL to the pod's operator where it runs on this very machine; returns whether it did.

    No request to the API server does that: a deleted pod is asked to stop first, and gives its lead back.
    """
    found = list(_processes(pod))
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return bool(found)


def quantile(buckets: Buckets, part: float) -> float:
    """The upper bound under which that part of all observations lies."""
    total = buckets[-1][1]
    return next(bound for bound, count in buckets if count >= part * total)


def _processes(pod: str) -> Iterator[int]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command, variables = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if b"selfreward.control" in command and f"POD_NAME={pod}".encode() in variables.split(b"\0"):
            yield int(folder.name)


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
