"""A cache of the runs' objects, as watches and lists have told of them so far.

News may come late, twice or in the wrong order, and may be missing until the next list; an object never goes
back to an older version here, and one that is gone stays gone. This module must not ask the API server anything.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from sys import intern
from typing import Any, Final

from selfreward.cluster.kubernetes.resources import PODS, Object, View, belongs, is_going, label_of, uid_of, version_of
from selfreward.render.metadata import RUN_UID
from selfreward.render.resource import Resource

_REMEMBERED: Final = 20_000
"""Uids of objects that are gone: an old event about one must not bring it back."""
_KEPT_SPEC: Final = ("replicas", "completions", "parallelism", "suspend", "nodeName")
_KEPT_METADATA: Final = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "annotations",
)
_KEPT_POD_STATUS: Final = ("phase", "reason", "message", "conditions", "initContainerStatuses", "containerStatuses")
_KEPT_CONTAINER_STATUS: Final = ("name", "state", "lastState", "ready", "restartCount")


class Cache:
    """All objects by type, run and uid, without what nobody reads: 500 runs fit in a small pod."""

    def __init__(self) -> None:
        self._objects: dict[Resource, dict[str, dict[str, Object]]] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()

    def put(self, resource: Resource, item: View) -> bool:
        """Take in an object; returns whether it was news."""
        uid = uid_of(item)
        known = self._run(resource, item).get(uid)
        if uid in self._gone or (known is not None and version_of(known) >= version_of(item)):
            return False
        self._run(resource, item)[uid] = slim(resource, item)
        return True

    def kept(self, resource: Resource, item: View) -> Object:
        """What is kept of an object: what is here already, unless it is older."""
        known = self._objects.get(resource, {}).get(label_of(item, RUN_UID), {}).get(uid_of(item))
        return slim(resource, item) if known is None or version_of(known) < version_of(item) else known

    def remove(self, resource: Resource, item: View) -> bool:
        """An object is gone; returns whether it was news."""
        uid = uid_of(item)
        self._gone[uid] = None
        while len(self._gone) > _REMEMBERED:
            self._gone.popitem(last=False)
        of_run = self._run(resource, item)
        is_news = of_run.pop(uid, None) is not None
        if not of_run:
            self._objects[resource].pop(label_of(item, RUN_UID), None)
        return is_news

    def replace(self, resource: Resource, items: Iterable[View], version: int) -> list[Object]:
        """Take in a whole list, made at `version`; returns the objects it brought news of, gone ones too."""
        listed = {uid_of(item): item for item in items}
        news = [slim(resource, item) for item in listed.values() if self.put(resource, item)]
        # What was created after the list was made is not in it and not gone.
        gone = [item for item in self.all(resource) if uid_of(item) not in listed and version_of(item) <= version]
        for item in gone:
            self.remove(resource, item)
        return news + gone

    def of_run(self, resource: Resource, run_uid: str) -> list[Object]:
        """The objects of a type that bear the run's label, oldest first. Anybody may have put it on."""
        found = self._objects.get(resource, {}).get(run_uid, {})
        return sorted(found.values(), key=lambda item: (item["metadata"].get("creationTimestamp") or "", uid_of(item)))

    def find(self, resource: Resource, namespace: str, run_uid: str, name: str) -> Object | None:
        """The object of that name which the run owns; one that is not on its way out comes first."""
        named = [
            item
            for item in self.of_run(resource, run_uid)
            if item["metadata"]["name"] == name and belongs(item, namespace, run_uid)
        ]
        return min(named, key=is_going, default=None)

    def all(self, resource: Resource) -> list[Object]:
        """Every object of a type, whichever run it belongs to."""
        return [item for of_run in self._objects.get(resource, {}).values() for item in of_run.values()]

    def _run(self, resource: Resource, item: View) -> dict[str, Object]:
        return self._objects.setdefault(resource, {}).setdefault(label_of(item, RUN_UID), {})


def slim(resource: Resource, item: View) -> Object:
    """The parts of an object that are read here; of what is slim already, all."""
    spec: Mapping[str, Any] = item.get("spec") or {}
    kept = _only(_KEPT_SPEC, spec)
    if (spec.get("runPolicy") or {}).get("suspend"):
        # Where a PyTorchJob has what the others have in `suspend`.
        kept["suspend"] = True
    status: Mapping[str, Any] = item.get("status") or {}
    if resource is PODS:
        kept["containers"] = [{"name": container["name"]} for container in spec.get("containers") or []]
        status = _slim_pod_status(status)
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": _slim_metadata(item["metadata"]),
        "spec": kept,
        "status": status,
    }


def _slim_metadata(metadata: View) -> Object:
    kept = _only(_KEPT_METADATA, metadata)
    # The same words on every object of a run.
    kept["labels"] = {intern(name): intern(value) for name, value in (metadata.get("labels") or {}).items()}
    kept["ownerReferences"] = [{"uid": intern(owner["uid"])} for owner in metadata.get("ownerReferences") or []]
    return kept


def _slim_pod_status(status: View) -> Object:
    kept = _only(_KEPT_POD_STATUS, status)
    for name in ("initContainerStatuses", "containerStatuses"):
        if name in kept:
            kept[name] = [_only(_KEPT_CONTAINER_STATUS, each) for each in kept[name] or []]
    if status.get("phase") == "Succeeded":
        # They tell of waiting and of disruption.
        kept.pop("conditions", None)
    return kept


def _only(names: Iterable[str], view: View) -> Object:
    return {name: view[name] for name in names if name in view}
