"""Kueue, played: it admits a run's Workload after a while, and evicts it when told.

As v0.19 does with one that no job of its own owns: evicted, the quota stays reserved until whoever made the Workload
has let it go; then it waits again. (pkg/workload, pkg/controller/jobframework.)
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from control.bench import Bench
from kube import Logged
from kube.storage import Object

QUEUE = "kueue.x-k8s.io/queue-name"
PRIORITY = "kueue.x-k8s.io/priority-class"
RESERVATION = {"cpu": "8", "nvidia.com/gpu": "1"}
ON_FLAVORS = {"example.com/processors": "many", "example.com/gpu": "a100"}
_FLAVORS = {
    "cpu": {"nodeLabels": {"example.com/processors": "many"}},
    "gpu": {"nodeLabels": {"example.com/gpu": "a100"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]},
}


def reserving(manifest: Object) -> Object:
    """The run, in a queue as a whole."""
    manifest["metadata"]["labels"] = {QUEUE: "team", PRIORITY: "high"}
    manifest["spec"]["reservation"] = dict(RESERVATION)
    return manifest


@dataclass
class Kueue:
    """The queue `team` of a bench."""

    made: Bench
    seconds: float = 30.0
    """What it takes to admit."""
    admitted: bool = False
    history: list[str] = field(default_factory=list)

    def install(self) -> None:
        """Watch Workloads from now on."""
        for name, spec in _FLAVORS.items():
            self.made.cluster.create(_object("ResourceFlavor", name, spec=spec))
        self.made.cluster.create(_object("WorkloadPriorityClass", "high", value=100))
        self.made.cluster.after_write.append(self._see)

    def evict(self) -> None:
        """Take the quota back, as for a run of more importance."""
        self.history.append("evicted")
        self._change(lambda status: _note(status, "Evicted", "True", "Preempted", "for a run of more importance"))

    def _see(self, write: Logged) -> None:
        if not write.plural.startswith("workloads"):
            return
        found = self._workload()
        self.admitted = found is not None and _holds(found, "Admitted")
        if found is None:
            self.history.append("gone")
        elif not _holds(found, "QuotaReserved"):
            self.history.append("waits")
            asyncio.get_running_loop().call_later(self.seconds, self._admit)

    def _admit(self) -> None:
        if (found := self._workload()) is None or _holds(found, "QuotaReserved"):
            return
        assert found["spec"]["queueName"] == "team"
        assert (found["spec"]["priorityClassRef"]["name"], found["spec"]["priority"]) == ("high", 100)
        (part,) = found["spec"]["podSets"]
        assert part["template"]["spec"]["containers"][0]["resources"]["requests"] == RESERVATION
        self.admitted = True
        self.history.append("admitted")
        self._change(_admit)

    def _workload(self) -> Object | None:
        return next(iter(self.made.cluster.list("Workload")), None)

    def _change(self, change: Any) -> None:
        if (found := self._workload()) is not None:
            name = found["metadata"]["name"]
            edit = self.made.cluster.edit
            edit("Workload", name, lambda item: change(item.setdefault("status", {})), subresource="status")


def _admit(status: Object) -> None:
    flavors = {"cpu": "cpu", "nvidia.com/gpu": "gpu"}
    status["admission"] = {"clusterQueue": "all", "podSetAssignments": [{"name": "main", "flavors": flavors}]}
    for kind in ("QuotaReserved", "Admitted"):
        _note(status, kind, "True", kind, "there is room")
    _note(status, "Evicted", "False", "QuotaReserved", "there is room")


def _note(status: Object, kind: str, value: str, reason: str, message: str) -> None:
    others = [each for each in status.get("conditions", []) if each["type"] != kind]
    status["conditions"] = [*others, {"type": kind, "status": value, "reason": reason, "message": message}]


def _holds(found: Object, kind: str) -> bool:
    conditions = (found.get("status") or {}).get("conditions", [])
    return any(each["type"] == kind and each["status"] == "True" for each in conditions)


def _object(kind: str, name: str, **content: Any) -> Object:
    return {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": {"name": name}, **content}
