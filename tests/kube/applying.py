"""Server-side apply and the bookkeeping of `managedFields` for every other write.

Kept: shared ownership of equal values; 409 with one cause a field where another manager owns a different value;
`force` takes those fields over; a field that its applier no longer sends goes unless somebody else owns it; plain
writes take over what they change. Source: kubernetes.io, "Server-Side Apply".
"""

from __future__ import annotations

import functools
import marshal
from dataclasses import dataclass, replace
from typing import Any, Final

from kube.errors import Cause, apply_conflict
from kube.fields import MISSING, ListKeys, Path, Paths, at, decode, encode, leaves, merged, without
from kube.kinds import Kind
from kube.storage import Object, copied

_NOT_OWNED: Final = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generateName",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
"""Metadata that belongs to the server or to the object's identity, never to a manager."""


@dataclass(frozen=True)
class Owner:
    """One entry of managedFields."""

    manager: str
    operation: str
    subresource: str
    api_version: str
    time: str
    paths: Paths

    def is_same(self, other: Owner) -> bool:
        mine = (self.manager, self.operation, self.subresource)
        return mine == (other.manager, other.operation, other.subresource)

    def as_json(self) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": encode(self.paths),
        }
        return entry | ({"subresource": self.subresource} if self.subresource else {})


def owners_of(item: Object) -> list[Owner]:
    """The managers of an object."""
    return [
        Owner(
            entry["manager"],
            entry["operation"],
            entry.get("subresource", ""),
            entry["apiVersion"],
            entry["time"],
            _decoded(marshal.dumps(entry["fieldsV1"])),
        )
        for entry in item["metadata"].get("managedFields", [])
    ]


@functools.lru_cache(maxsize=4096)
def _decoded(fields: bytes) -> Paths:
    """The paths of a marshalled FieldsV1: most writes leave most managers what they had."""
    return frozenset(decode(marshal.loads(fields)))


def list_keys(kind: Kind) -> ListKeys:
    """How lists merge: training jobs hold pod templates and so merge as workloads do."""
    return ListKeys(atomic_outside_metadata=kind.kind == "SelfRewardRun")


def owned_part(item: Object, subresource: str) -> Object:
    """What a manager may own of what it sent: status on /status only, all but status elsewhere."""
    metadata = {key: value for key, value in item.get("metadata", {}).items() if key not in _NOT_OWNED}
    body = {key: value for key, value in item.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    if subresource == "status":
        return {"status": item["status"]} if "status" in item else {}
    return body | ({"metadata": metadata} if metadata else {})


def apply(live: Object | None, applied: Object, kind: Kind, owner: Owner, *, force: bool) -> Object:
    """`live` (None: to be created) as it is after `owner` applied `applied`; raises ApiError 409 on conflicts."""
    keys = list_keys(kind)
    part = owned_part(applied, owner.subresource)
    owner = replace(owner, paths=frozenset(leaves(part, keys)))
    if live is None:
        created = copied(applied)
        created["metadata"]["managedFields"] = [owner.as_json()]
        return created
    owners = owners_of(live)
    others = [each for each in owners if not each.is_same(owner)]
    contested = _contested(live, part, keys, owner, others)
    if contested and not force:
        raise apply_conflict(contested_causes(contested))
    taken = frozenset(path for path, _ in contested)
    others = [replace(each, paths=each.paths - taken) for each in others]
    before = frozenset(path for each in owners if each.is_same(owner) for path in each.paths)
    gone = before - owner.paths - frozenset(path for each in others for path in each.paths)
    result: Object = merged(without(copied(live), gone, keys), part, keys)
    _write_owners(result, [*others, _kept_time(owner, owners)])
    return result


def _contested(
    live: Object, part: Object, keys: ListKeys, owner: Owner, others: list[Owner]
) -> list[tuple[Path, Owner]]:
    return [
        (path, other)
        for path in sorted(owner.paths)
        if path[-1][0] == "f" and at(live, path, keys) != at(part, path, keys)
        for other in others
        if path in other.paths
    ]


def contested_causes(contested: list[tuple[Path, Owner]]) -> list[Cause]:
    """The causes of a 409, worded as managedfields' `NewConflictError`."""
    return [Cause(_shown(path), "FieldManagerConflict", _conflict_with(owner)) for path, owner in contested]


def _conflict_with(owner: Owner) -> str:
    part = f' with subresource "{owner.subresource}"' if owner.subresource else ""
    version = f" using {owner.api_version}" if owner.operation == "Update" else ""
    return f'conflict with "{owner.manager}"{part}{version}'


def _shown(path: Path) -> str:
    return "".join(f".{text}" if kind == "f" else f"[{text}]" for kind, text in path)


def _kept_time(owner: Owner, owners: list[Owner]) -> Owner:
    """An entry whose fields did not change keeps its time, so that applying the same again changes nothing."""
    same = next((each for each in owners if each.is_same(owner) and each.paths == owner.paths), None)
    return owner if same is None else replace(owner, time=same.time)


def track_update(before: Object | None, after: Object, kind: Kind, owner: Owner) -> None:
    """Give, in place, `owner` of a plain write what it changed, and take it from everybody else."""
    keys = list_keys(kind)
    new = owned_part(after, owner.subresource)
    old = owned_part(before, owner.subresource) if before is not None else {}
    now, then = leaves(new, keys), leaves(old, keys)
    changed = frozenset(path for path, value in now.items() if path not in then or then[path] != value)
    removed = frozenset(path for path in then.keys() - now.keys() if at(new, path, keys) is MISSING)
    owners = owners_of(before) if before is not None else []
    mine = next((each.paths for each in owners if each.is_same(owner)), frozenset())
    kept = [replace(each, paths=each.paths - changed - removed) if not each.is_same(owner) else None for each in owners]
    owner = replace(owner, paths=(mine | changed) - removed)
    _write_owners(after, [*(each for each in kept if each is not None), _kept_time(owner, owners)])


def _write_owners(item: Object, owners: list[Owner]) -> None:
    # In the API server's order (managedfields, `sortEncodedManagedFields`): the same owners are the same list.
    ordered = sorted(owners, key=lambda each: (each.operation, each.time, each.manager, each.subresource))
    entries = [owner.as_json() for owner in ordered if owner.paths]
    item["metadata"].pop("managedFields", None)
    if entries:
        item["metadata"]["managedFields"] = entries
