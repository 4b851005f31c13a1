"""The API server without its sockets: what each verb answers, and which kinds are installed."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from kube import errors, patching
from kube.admission import Admission
from kube.clock import Clock
from kube.deleting import DeleteOptions, Deleter
from kube.kinds import KINDS, Kind
from kube.listing import Lister, selection
from kube.logs import PodLogs
from kube.names import Identities
from kube.requests import APPLY, Request
from kube.storage import Change, Object, Storage, key_of
from kube.writing import Actor, Writer

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


class Api:
    """Objects, and every verb on them."""

    def __init__(self, clock: Clock, absent: Iterable[str] = ()) -> None:
        """`absent` are the kinds that are not installed."""
        self.clock = clock
        self.storage = Storage()
        self.identities = Identities()
        self.admission = Admission()
        self.writer = Writer(self.storage, clock, self.identities, self.admission)
        self.deleter = Deleter(self.storage, clock)
        self.lister = Lister(self.storage)
        self.logs = PodLogs(clock)
        self.installed = {kind.kind: kind for kind in KINDS if kind.kind not in set(absent)}
        self.storage.listen(self._learn)

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """The installed kind at a path."""
        found = (kind for kind in self.installed.values() if kind.plural == plural)
        return next((kind for kind in found if (kind.group, kind.version) == (group, version)), None)

    def kind_of(self, api_version: str, kind: str) -> Kind | None:
        """The installed kind of a manifest."""
        found = self.installed.get(kind)
        return found if found is not None and found.api_version == api_version else None

    def answer(self, request: Request, warn: list[str]) -> tuple[int, Object]:
        """Do what `request` asks; returns the status code and the body, to be read only. Raises ApiError."""
        kind, namespace, name = request.kind, request.namespace, request.name
        match request.verb:
            case "get":
                found = self.storage.view(kind, namespace, name)
                if found is None:
                    raise errors.not_found(kind, name)
                return 200, found
            case "list":
                return 200, self.lister.list(kind, namespace, request.query)
            case "create":
                return 201, self.writer.create(kind, namespace, _object(request), self._actor(request, warn))
            case "update":
                actor = self._actor(request, warn)
                existed = self.storage.view(kind, namespace, name) is not None
                stored = self.writer.update(kind, namespace, name, _object(request), actor, request.subresource)
                return 200 if existed else 201, stored
            case "patch":
                return 200, self._patch(request, warn)
            case "apply":
                return self._apply(request, warn)
            case "delete":
                return self._delete(request)
            case "deletecollection":
                return self._delete_collection(request)
            case _:
                raise errors.bad_request(f"{request.verb} is not answered at once")

    def _patch(self, request: Request, warn: list[str]) -> Object:
        match request.content_type:
            case "application/merge-patch+json":
                change = functools.partial(_flipped, patching.merge_patch, request.body)
            case "application/json-patch+json":
                change = functools.partial(_flipped, patching.json_patch, request.body)
            case other:
                raise errors.unsupported_media_type(other, (JSON_PATCH, MERGE, APPLY))
        actor = self._actor(request, warn)
        return self.writer.patch(request.kind, request.namespace, request.name, change, actor, request.subresource)

    def _apply(self, request: Request, warn: list[str]) -> tuple[int, Object]:
        if not request.query.get("fieldManager"):
            cause = errors.Cause("fieldManager", "FieldValueRequired", "Required value: is required for apply patch")
            message = f'PatchOptions.meta.k8s.io "" is invalid: {cause.field}: {cause.message}'
            raise errors.ApiError(422, "Invalid", message, {"causes": [cause.as_json()]})
        kind, namespace, name = request.kind, request.namespace, request.name
        existed = self.storage.view(kind, namespace, name) is not None
        actor = self._actor(request, warn)
        item = self.writer.apply(kind, namespace, name, _object(request), actor, request.subresource)
        return 200 if existed else 201, item

    def _delete(self, request: Request) -> tuple[int, Object]:
        options = DeleteOptions.read(request.body or {}, dict(request.query))
        item, gone = self.deleter.delete(request.kind, request.namespace, request.name, options)
        if not gone or request.kind.returns_deleted:
            # 202 where the caller asked in the old words that the dependents go first (apiserver `handlers/delete.go`).
            asked = (request.body or {}).get("orphanDependents") is False
            return 202 if not gone and asked else 200, item
        details = {"name": request.name, "kind": request.kind.plural, "uid": item["metadata"]["uid"]}
        if request.kind.group:
            details["group"] = request.kind.group
        return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def _delete_collection(self, request: Request) -> tuple[int, Object]:
        matches = selection(request.kind, request.namespace, request.query)
        options = DeleteOptions.read(request.body or {}, dict(request.query))
        for item in [each for each in self.storage.peek(request.kind) if matches(each)]:
            self.deleter.delete(request.kind, *key_of(item), options)
        return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}

    def _actor(self, request: Request, warn: list[str]) -> Actor:
        query = request.query
        validation = query.get("fieldValidation", "Warn")

        def told(message: str) -> None:
            if validation == "Strict":
                kind = request.kind
                what = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
                raise errors.bad_request(f"{what}: strict decoding error: {message}")
            if validation == "Warn":
                warn.append(message)

        # Without a fieldManager the server takes the first word of the user agent.
        manager = query.get("fieldManager") or request.user_agent.partition("/")[0] or "unknown"
        dry_run = query.get("dryRun", "")
        if dry_run not in ("", "All"):
            raise errors.invalid_dry_run(request.verb, dry_run)
        return Actor(manager, dry_run == "All", query.get("force") in ("true", "1"), told)

    def _learn(self, change: Change) -> None:
        if change.kind.kind == "CustomResourceDefinition" and change.after is not None:
            self.admission.learn(change.after)


def _object(request: Request) -> dict[str, Any]:
    if not isinstance(request.body, dict):
        raise errors.bad_request("the body must be an object")
    return request.body


def _flipped(patch: Any, change: Any, target: Any) -> Any:
    return patch(target, change)
