"""Create, update, patch and apply: what the API server does between a request's body and the store.

One pipeline for all kinds, steered by the table in `kinds`; its order is that of k8s.io/apiserver
`pkg/registry/rest/{create,update}.go`. Deletion is `deleting`'s, what a kind's fields may hold is `admission`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kube import applying, errors
from kube.admission import Admission, Warn
from kube.clock import Clock
from kube.kinds import Kind
from kube.names import Identities, check_metadata
from kube.storage import Object, Storage, copied


@dataclass(frozen=True)
class Actor:
    """Who writes, and how."""

    manager: str
    dry_run: bool = False
    force: bool = False
    warn: Warn = lambda message: None
    """Told of unknown fields."""


class Writer:
    """Every write but deletion. What comes back is the stored object: to be read, never written to."""

    def __init__(self, storage: Storage, clock: Clock, identities: Identities, admission: Admission) -> None:
        self.storage = storage
        self.clock = clock
        self.identities = identities
        self.admission = admission

    def create(self, kind: Kind, namespace: str, body: Object, actor: Actor) -> Object:
        """POST; ApiError 409 when the name is taken."""
        item = self._to_create(kind, namespace, body)
        applying.track_update(None, item, kind, self._owner(kind, actor, "Update", ""))
        return self._insert(kind, item, actor)

    def update(
        self, kind: Kind, namespace: str, name: str, body: Object, actor: Actor, subresource: str = ""
    ) -> Object:
        """PUT; ApiError 409 when the body's resourceVersion or uid is not the stored one's. `body` is taken over."""
        self._check_address(kind, namespace, name, body)
        live = self.storage.view(kind, namespace, name)
        if live is None:
            if not kind.create_on_update or subresource:
                raise errors.not_found(kind, name)
            return self.create(kind, namespace, body, actor)
        if not body["metadata"].get("resourceVersion") and not kind.unconditional_update:
            message = "must be specified for an update"
            raise errors.invalid_field(kind, name, "metadata.resourceVersion", 0, message)
        return self._replace(kind, live, body, actor, subresource)

    def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        change: Callable[[Object], Object],
        actor: Actor,
        subresource: str = "",
    ) -> Object:
        """PATCH by merge or JSON patch: `change` of what is stored, so only an explicit resourceVersion conflicts."""
        live = self.storage.view(kind, namespace, name)
        if live is None:
            raise errors.not_found(kind, name)
        body = change(copied(live))
        self._check_address(kind, namespace, name, body)
        _check_uid(kind, live, body)
        return self._replace(kind, live, body, actor, subresource)

    def apply(self, kind: Kind, namespace: str, name: str, body: Object, actor: Actor, subresource: str = "") -> Object:
        """Server-side apply: creates what is absent, 409 on another manager's fields unless forced."""
        self._check_applied(kind, name, body)
        body = copied(body)
        body.setdefault("metadata", {}).setdefault("name", name)
        self._check_address(kind, namespace, name, body)
        unknown = self.admission.prune(kind, copied(body))
        if unknown:
            what = f"({namespace}/{name}; {kind.api_version}, Kind={kind.kind})"
            message = f"failed to create typed patch object {what}: .{unknown[0]}: field not declared in schema"
            raise errors.ApiError(500, "", message)
        live = self.storage.view(kind, namespace, name)
        owner = self._owner(kind, actor, "Apply", subresource)
        if live is None:
            if subresource:
                raise errors.not_found(kind, name)
            if uid := body["metadata"].get("uid"):
                why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                raise errors.conflict(kind, name, why)
            created = applying.apply(None, body, kind, owner, force=True)
            return self._insert(kind, self._to_create(kind, namespace, created), actor)
        _check_uid(kind, live, body)
        result = applying.apply(live, body, kind, owner, force=actor.force)
        if "resourceVersion" in body["metadata"]:
            result["metadata"]["resourceVersion"] = body["metadata"]["resourceVersion"]
        return self._replace(kind, live, result, actor, subresource, tracked=True)

    def _to_create(self, kind: Kind, namespace: str, body: Object) -> Object:
        item = copied(body)
        metadata = item.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + self.identities.suffix()
        self._check_address(kind, namespace, metadata.get("name") or "", item)
        if metadata.get("resourceVersion"):
            raise errors.ApiError(500, "", "resourceVersion should not be set on objects to be created")
        if kind.has_status:
            item.pop("status", None)
        for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
            metadata.pop(key, None)
        metadata["uid"] = self.identities.uid()
        metadata["creationTimestamp"] = self.clock.stamp()
        metadata.pop("generation", None)
        if kind.has_generation:
            metadata["generation"] = 1
        if kind.namespaced:
            metadata["namespace"] = namespace
        return item

    def _insert(self, kind: Kind, item: Object, actor: Actor) -> Object:
        name, namespace = item["metadata"]["name"], item["metadata"].get("namespace", "")
        self.admission.admit(kind, item, None, actor.warn)
        _drop_empty(item["metadata"])
        check_metadata(kind, item)
        if kind.namespaced and self.storage.view(self.admission.namespaces, "", namespace) is None:
            raise errors.not_found(self.admission.namespaces, namespace)
        if self.storage.view(kind, namespace, name) is not None:
            raise errors.already_exists(kind, name)
        return item if actor.dry_run else self.storage.put(kind, item)

    def _replace(
        self, kind: Kind, live: Object, body: Object, actor: Actor, subresource: str, *, tracked: bool = False
    ) -> Object:
        name = live["metadata"]["name"]
        self._check_preconditions(kind, live, body)
        new = _isolated(kind, live, body, subresource)
        self._keep_identity(kind, live, new)
        self.admission.admit(kind, new, live, actor.warn)
        _drop_empty(new["metadata"])
        check_metadata(kind, new)
        added = set(new["metadata"].get("finalizers") or []) - set(live["metadata"].get("finalizers") or [])
        if added and live["metadata"].get("deletionTimestamp"):
            message = "Forbidden: no new finalizers can be added if the object is being deleted"
            raise errors.invalid(kind, name, [errors.Cause("metadata.finalizers", "FieldValueForbidden", message)])
        if kind.has_generation and _content(kind, live) != _content(kind, new):
            new["metadata"]["generation"] = live["metadata"]["generation"] + 1
        if not tracked:
            applying.track_update(live, new, kind, self._owner(kind, actor, "Update", subresource))
        if _same(live, new):
            return live
        if actor.dry_run:
            return new
        metadata = new["metadata"]
        is_done = metadata.get("deletionTimestamp") and not metadata.get("deletionGracePeriodSeconds")
        if is_done and not metadata.get("finalizers"):
            self.storage.put(kind, new)
            return self.storage.remove(kind, new)
        return self.storage.put(kind, new)

    def _check_preconditions(self, kind: Kind, live: Object, body: Object) -> None:
        name, sent, stored = live["metadata"]["name"], body["metadata"], live["metadata"]
        if sent.get("uid") and sent["uid"] != stored["uid"]:
            why = f"Precondition failed: UID in precondition: {sent['uid']}, UID in object meta: {stored['uid']}"
            raise errors.conflict(kind, name, why)
        if sent.get("resourceVersion") and sent["resourceVersion"] != stored["resourceVersion"]:
            raise errors.conflict(kind, name, errors.MODIFIED)

    def _keep_identity(self, kind: Kind, live: Object, new: Object) -> None:
        for key in ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"):
            new["metadata"].pop(key, None)
            if key in live["metadata"]:
                new["metadata"][key] = live["metadata"][key]
        new["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
        new["apiVersion"], new["kind"] = kind.api_version, kind.kind
        if kind.namespaced:
            new["metadata"]["namespace"] = live["metadata"]["namespace"]

    def _check_address(self, kind: Kind, namespace: str, name: str, body: Object) -> None:
        """The body's kind, name and namespace against the URL's; of a built-in kind the URL says it, too."""
        if kind.is_custom and not body.get("kind"):
            raise errors.bad_request(
                f"the object provided is unrecognized (must be of type {kind.kind}): Object 'Kind' is missing in '...'"
            )
        if kind.is_custom and not body.get("apiVersion"):
            message = "the API version in the data () does not match the expected API version"
            raise errors.bad_request(f"{message} ({kind.api_version})")
        for key, expected in (("apiVersion", kind.api_version), ("kind", kind.kind)):
            if body.setdefault(key, expected) != expected:
                raise errors.bad_request(
                    f"the {key} in the data ({body[key]}) does not match the expected ({expected})"
                )
        metadata = body.setdefault("metadata", {})
        if not isinstance(metadata, dict):
            raise errors.bad_request("metadata: must be an object")
        if metadata.setdefault("name", name) != name:
            message = f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            raise errors.bad_request(message)
        if kind.namespaced and metadata.get("namespace", namespace) != namespace:
            message = "the namespace of the provided object does not match the namespace sent on the request"
            raise errors.bad_request(message)

    def _check_applied(self, kind: Kind, name: str, body: Object) -> None:
        for key in ("apiVersion", "kind"):
            if not body.get(key):
                raise errors.bad_request(f"{key} must be set in an applied object")
        if body.get("metadata", {}).get("managedFields"):
            raise errors.bad_request("metadata.managedFields must be nil")

    def _owner(self, kind: Kind, actor: Actor, operation: str, subresource: str) -> applying.Owner:
        return applying.Owner(actor.manager, operation, subresource, kind.api_version, self.clock.stamp(), frozenset())


def _check_uid(kind: Kind, live: Object, body: Object) -> None:
    """A patch may not change it; in a PUT it is a precondition."""
    sent = body["metadata"].get("uid")
    if sent and sent != live["metadata"]["uid"]:
        raise errors.invalid_field(kind, live["metadata"]["name"], "metadata.uid", sent, "field is immutable")


def _isolated(kind: Kind, live: Object, body: Object, subresource: str) -> Object:
    """The object to store: of a /status write nothing but the status, of any other all but the status."""
    if subresource == "status":
        new = copied({key: value for key, value in live.items() if key != "status"})
        if "status" in body:
            new["status"] = body["status"]
        if "managedFields" in body["metadata"]:
            new["metadata"]["managedFields"] = body["metadata"]["managedFields"]
        return new
    if kind.has_status:
        body.pop("status", None)
        if "status" in live:
            body["status"] = copied(live["status"])
    return body


def _drop_empty(metadata: Object) -> None:
    """ObjectMeta's fields are `omitempty`: an empty list of finalizers is no finalizers."""
    for key in ("annotations", "finalizers", "labels", "ownerReferences"):
        if not metadata.get(key, ...):
            del metadata[key]


def _content(kind: Kind, item: Object) -> Object:
    return {key: value for key, value in item.items() if key not in ("metadata", "status")}


def _same(old: Object, new: Object) -> bool:
    """Whether a write changes nothing: no new revision then, and no event (etcd3 `GuaranteedUpdate`)."""
    return _timeless(old) == _timeless(new)


def _timeless(item: Object) -> Object:
    entries = [{**entry, "time": ""} for entry in item["metadata"].get("managedFields", [])]
    return {**item, "metadata": {**item["metadata"], "managedFields": entries}}
