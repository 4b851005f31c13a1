"""DELETE: preconditions, propagation policies, grace periods and finalizers.

Source: k8s.io/apiserver `pkg/registry/rest/delete.go`, and `markAsDeleting` of `generic/registry/store.go`: setting
deletionTimestamp raises the generation, which an observedGeneration must not stumble over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from kube import errors
from kube.clock import Clock, stamp
from kube.kinds import Kind, Propagation
from kube.storage import Object, Storage

FOREGROUND: Final = "foregroundDeletion"
ORPHAN: Final = "orphan"
_FINALIZERS: Final = {Propagation.FOREGROUND: FOREGROUND, Propagation.ORPHAN: ORPHAN}


@dataclass(frozen=True)
class DeleteOptions:
    """The body and query of a DELETE."""

    propagation: Propagation | None = None
    grace: int | None = None
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False

    @classmethod
    def read(cls, body: dict[str, Any], query: dict[str, str]) -> DeleteOptions:
        """From the request; raises ApiError 400."""
        policy = body.get("propagationPolicy") or query.get("propagationPolicy")
        orphan = body.get("orphanDependents")
        if policy is None and orphan is not None:
            policy = Propagation.ORPHAN if orphan else Propagation.BACKGROUND
        grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
        preconditions = body.get("preconditions") or {}
        try:
            return cls(
                propagation=None if policy is None else Propagation(policy),
                grace=None if grace is None else int(grace),
                uid=preconditions.get("uid"),
                resource_version=preconditions.get("resourceVersion"),
                dry_run=bool(body.get("dryRun") or query.get("dryRun")),
            )
        except ValueError as error:
            raise errors.bad_request(f"invalid DeleteOptions: {error}") from error


class Deleter:
    """Deletion of single objects."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    def delete(self, kind: Kind, namespace: str, name: str, options: DeleteOptions) -> tuple[Object, bool]:
        """The object as it is or was last, and whether it is gone already."""
        live = self._storage.get(kind, namespace, name)
        if live is None:
            raise errors.not_found(kind, name)
        self._check(kind, live, options)
        self._mark_finalizers(kind, live, options)
        grace = self._grace(kind, live, options)
        metadata = live["metadata"]
        if grace == 0 and not metadata.get("finalizers"):
            return (live if options.dry_run else self._storage.remove(kind, live)), True
        self._mark(kind, live, grace)
        if options.dry_run or live == self._storage.view(kind, namespace, name):
            return live, False
        return self._storage.put(kind, live), False

    def _check(self, kind: Kind, live: Object, options: DeleteOptions) -> None:
        metadata = live["metadata"]
        for label, wanted, found in (
            ("UID", options.uid, metadata["uid"]),
            ("ResourceVersion", options.resource_version, metadata["resourceVersion"]),
        ):
            if wanted is not None and wanted != found:
                why = f"Precondition failed: {label} in precondition: {wanted}, {label} in object meta: {found}"
                raise errors.conflict(kind, metadata["name"], why)

    def _mark_finalizers(self, kind: Kind, live: Object, options: DeleteOptions) -> None:
        present = list(live["metadata"].get("finalizers") or [])
        policy = options.propagation
        if policy is None:
            asked = next((each for each, name in _FINALIZERS.items() if name in present), None)
            policy = asked or kind.default_propagation
        kept = [name for name in present if name not in _FINALIZERS.values()]
        wanted = kept + ([_FINALIZERS[policy]] if policy in _FINALIZERS else [])
        live["metadata"].pop("finalizers", None)
        if wanted:
            live["metadata"]["finalizers"] = wanted

    def _grace(self, kind: Kind, live: Object, options: DeleteOptions) -> int:
        if not kind.graceful:
            return 0
        spec, phase = live.get("spec", {}), live.get("status", {}).get("phase")
        if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
            return 0
        asked = options.grace if options.grace is not None else int(spec.get("terminationGracePeriodSeconds", 30))
        under_way = live["metadata"].get("deletionGracePeriodSeconds")
        return asked if under_way is None else min(asked, int(under_way))

    def _mark(self, kind: Kind, live: Object, grace: int) -> None:
        metadata = live["metadata"]
        first = "deletionTimestamp" not in metadata
        if first or grace < metadata.get("deletionGracePeriodSeconds", grace):
            metadata["deletionTimestamp"] = stamp(self._clock.now() + timedelta(seconds=grace))
            metadata["deletionGracePeriodSeconds"] = grace
        if first and kind.has_generation:
            metadata["generation"] += 1
