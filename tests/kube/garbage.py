"""The garbage collector: what is owned by nothing that exists goes; foreground and orphaning deletions end.

Source: kubernetes.io, "Garbage Collection" and "Use Cascading Deletion"; pkg/controller/garbagecollector
(`attemptToDeleteItem`). An owner counts only with its uid and in the dependent's own namespace or at cluster level.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kube import errors
from kube.controllers import Controller, Machinery
from kube.deleting import FOREGROUND, ORPHAN, DeleteOptions
from kube.kinds import Kind, Propagation
from kube.storage import Change, Object, Reference, copied, key_of, owners_of


class GarbageCollector(Controller[Reference]):
    """Deletes dependents after their owners."""

    delay = 0.2

    def __init__(self, machinery: Machinery) -> None:
        super().__init__(machinery)
        self._kinds: dict[str, Kind] = {}

    def observe(self, change: Change) -> None:
        kind, item = change.kind, change.object
        reference = (kind.resource, *key_of(item))
        self._kinds[kind.resource] = kind
        if change.after is None:
            self._enqueue_all(self.storage.dependents(item["metadata"]["uid"]))
            for owner in owners_of(change.before):
                self._enqueue_owner(owner, item)
        elif owners_of(item) or item["metadata"].get("deletionTimestamp"):
            self.enqueue(reference)

    def reconcile(self, key: Reference) -> None:
        resource, namespace, name = key
        kind = self._kinds[resource]
        item = self.storage.view(kind, namespace, name)
        if item is None:
            return
        finalizers = item["metadata"].get("finalizers") or []
        if item["metadata"].get("deletionTimestamp"):
            if ORPHAN in finalizers:
                self._orphan(kind, item)
            elif FOREGROUND in finalizers:
                self._foreground(kind, item)
            return
        self._collect(kind, item)

    def _collect(self, kind: Kind, item: Object) -> None:
        owners = owners_of(item)
        if not owners:
            return
        alive = [owner for owner in owners if self._is_solid(owner, item)]
        if alive == owners:
            return
        if alive:
            self._write_owners(kind, item, alive)
            return
        waiting = any(self._owner(owner, item) is not None for owner in owners)
        has_dependents = bool(self.storage.dependents(item["metadata"]["uid"]))
        self._delete(kind, item, Propagation.FOREGROUND if waiting and has_dependents else Propagation.BACKGROUND)

    def _is_solid(self, owner: dict[str, Any], item: Object) -> bool:
        """Whether the owner exists and is not itself waiting for this dependent to go."""
        found = self._owner(owner, item)
        if found is None:
            return False
        going = found["metadata"].get("deletionTimestamp")
        return not (going and FOREGROUND in (found["metadata"].get("finalizers") or []))

    def _owner(self, owner: dict[str, Any], item: Object) -> Object | None:
        kind = self.kind_of(owner["apiVersion"], owner["kind"])
        if kind is None:
            # An uninstalled kind: the real collector cannot look, and so does not delete.
            return {"metadata": {}}
        namespace = item["metadata"].get("namespace", "") if kind.namespaced else ""
        found = self.storage.view(kind, namespace, owner["name"])
        return found if found is not None and found["metadata"]["uid"] == owner["uid"] else None

    def _orphan(self, kind: Kind, item: Object) -> None:
        uid = item["metadata"]["uid"]
        for dependent_kind, dependent in self._living(uid):
            kept = [owner for owner in owners_of(dependent) if owner["uid"] != uid]
            self._write_owners(dependent_kind, dependent, kept)
        self._drop_finalizer(kind, item, ORPHAN)

    def _foreground(self, kind: Kind, item: Object) -> None:
        uid = item["metadata"]["uid"]
        blocking = [
            dependent
            for _, dependent in self._living(uid)
            if any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in owners_of(dependent))
        ]
        self._enqueue_all(self.storage.dependents(uid))
        if not blocking:
            self._drop_finalizer(kind, item, FOREGROUND)

    def _living(self, uid: str) -> list[tuple[Kind, Object]]:
        found = [
            (self._kinds[resource], self.storage.get(self._kinds[resource], namespace, name))
            for resource, namespace, name in self.storage.dependents(uid)
        ]
        return [(kind, item) for kind, item in found if item is not None]

    def _enqueue_all(self, references: Iterable[Reference]) -> None:
        for reference in references:
            self.enqueue(reference)

    def _enqueue_owner(self, owner: dict[str, Any], item: Object) -> None:
        kind = self.kind_of(owner["apiVersion"], owner["kind"])
        if kind is not None:
            namespace = item["metadata"].get("namespace", "") if kind.namespaced else ""
            self._kinds[kind.resource] = kind
            self.enqueue((kind.resource, namespace, owner["name"]))

    def _write_owners(self, kind: Kind, item: Object, owners: list[dict[str, Any]]) -> None:
        item = copied(item)
        item["metadata"]["ownerReferences"] = owners
        if not owners:
            del item["metadata"]["ownerReferences"]
        self.update(kind, item)

    def _drop_finalizer(self, kind: Kind, item: Object, finalizer: str) -> None:
        item = copied(item)
        item["metadata"]["finalizers"] = [name for name in item["metadata"]["finalizers"] if name != finalizer]
        self.update(kind, item)

    def _delete(self, kind: Kind, item: Object, propagation: Propagation) -> None:
        namespace, name = key_of(item)
        try:
            self.deleter.delete(kind, namespace, name, DeleteOptions(propagation, uid=item["metadata"]["uid"]))
        except errors.ApiError as error:
            if error.code != 404:
                raise
