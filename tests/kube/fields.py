"""Sets of fields: which paths an object or a manager has, and how `managedFields` writes them.

A path is a tuple of elements: ("f", name) into a map, ("k", keys as JSON) into a list whose items have keys,
("v", value) into a list that is a set. Everything else is a leaf, atomic lists among them. Source:
structured-merge-diff v4/v6 and kubernetes.io, "Server-Side Apply" (FieldsV1).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

Element = tuple[str, str]
Path = tuple[Element, ...]
Paths = frozenset[Path]

_BY_NAME: Final = dict.fromkeys(
    ("containers", "initContainers", "volumes", "env", "imagePullSecrets", "replicatedJobs"), ("name",)
)
_WORKLOAD_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    **_BY_NAME,
    "volumeMounts": ("mountPath",),
    "conditions": ("type",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
_METADATA_KEYS: Final[Mapping[str, tuple[str, ...]]] = {"ownerReferences": ("uid",)}
_SETS: Final = frozenset({"finalizers"})


class ListKeys:
    """How the lists of one kind are merged: by which keys, or whole."""

    def __init__(self, *, atomic_outside_metadata: bool) -> None:
        """A CRD whose schema names no list types, as ours, has atomic lists everywhere but in its metadata."""
        self._atomic = atomic_outside_metadata

    def of(self, path: Path) -> tuple[str, ...] | None:
        """The keys of the list at `path`; an empty tuple for a set; None for an atomic list."""
        names = [name for kind, name in path if kind == "f"]
        if names[0] == "metadata" and len(names) == 2:
            return () if names[1] in _SETS else _METADATA_KEYS.get(names[1])
        if self._atomic:
            return None
        if names[-1] == "ports":
            # A container's ports are keyed by containerPort, a Service's by port.
            return ("containerPort", "protocol") if "containers" in names else ("port", "protocol")
        return _WORKLOAD_KEYS.get(names[-1])

    def element(self, path: Path, item: Any) -> Element | None:
        """The element of `item` in the list at `path`; None in an atomic list."""
        keys = self.of(path)
        if keys is None:
            return None
        if keys == ():
            return ("v", json.dumps(item))
        return ("k", _key_text(keys, tuple([item.get(key, "TCP" if key == "protocol" else None) for key in keys])))


@lru_cache(maxsize=4096)
def _key_text(keys: tuple[str, ...], values: tuple[Any, ...]) -> str:
    return json.dumps(dict(zip(keys, values, strict=True)), separators=(",", ":"), sort_keys=True)


def leaves(value: Any, keys: ListKeys) -> dict[Path, Any]:
    """Every leaf of `value`, and every item of a keyed list, by its path."""
    found: dict[Path, Any] = {}
    _gather(value, keys, (), found)
    return found


def _gather(value: Any, keys: ListKeys, path: Path, found: dict[Path, Any]) -> None:
    if value and isinstance(value, dict):
        for name, each in value.items():
            _gather(each, keys, (*path, ("f", name)), found)
    elif value and isinstance(value, list) and keys.of(path) is not None:
        for item in value:
            element = keys.element(path, item)
            assert element is not None
            found[*path, element] = item
            if isinstance(item, dict):
                _gather(item, keys, (*path, element), found)
    elif path:
        found[path] = value


MISSING: Final = object()


def at(value: Any, path: Path, keys: ListKeys) -> Any:
    """What stands at `path`, or MISSING."""
    for depth, element in enumerate(path):
        if element[0] == "f":
            value = value.get(element[1], MISSING) if isinstance(value, dict) else MISSING
        elif isinstance(value, list):
            here = path[:depth]
            value = next((item for item in value if keys.element(here, item) == element), MISSING)
        else:
            return MISSING
        if value is MISSING:
            return MISSING
    return value


def without(value: Any, gone: Paths, keys: ListKeys, path: Path = ()) -> Any:
    """`value` without the paths in `gone`, and without maps and lists that only held those."""
    match value:
        case dict():
            kept = {
                name: without(each, gone, keys, (*path, ("f", name)))
                for name, each in value.items()
                if (*path, ("f", name)) not in gone
            }
            return {name: each for name, each in kept.items() if each not in ({}, []) or value[name] == each}
        case list() if keys.of(path) is not None:
            items = [(item, (*path, keys.element(path, item))) for item in value]
            return [without(item, gone, keys, below) for item, below in items if below not in gone]  # type: ignore[arg-type]
        case _:
            return value


def merged(live: Any, applied: Any, keys: ListKeys, path: Path = ()) -> Any:
    """`live` with `applied` laid over it: maps and keyed lists merge, all else is replaced."""
    if isinstance(live, dict) and isinstance(applied, dict):
        result = dict(live)
        for name, each in applied.items():
            result[name] = merged(live[name], each, keys, (*path, ("f", name))) if name in live else each
        return result
    if isinstance(live, list) and isinstance(applied, list) and keys.of(path) is not None:
        return _merged_list(live, applied, keys, path)
    return applied


def _merged_list(live: list[Any], applied: list[Any], keys: ListKeys, path: Path) -> list[Any]:
    found = {keys.element(path, item): item for item in applied}
    result = []
    for item in live:
        element = keys.element(path, item)
        assert element is not None
        result.append(merged(item, found.pop(element), keys, (*path, element)) if element in found else item)
    return result + list(found.values())


@lru_cache(maxsize=4096)
def encode(paths: Paths) -> dict[str, Any]:
    """FieldsV1 of a set of paths, to be read only: the same object for the same set."""
    tree: dict[str, Any] = {}
    parents = {path[:depth] for path in paths for depth in range(1, len(path))}
    for path in sorted(paths):
        here = tree
        for kind, text in path:
            here = here.setdefault(f"{kind}:{text}", {})
        if path in parents:
            here["."] = {}
    return tree


def decode(fields: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    """The set of paths of a FieldsV1."""
    if not fields and path:
        yield path
    for name, below in fields.items():
        if name == ".":
            yield path
        else:
            kind, _, text = name.partition(":")
            yield from decode(below, (*path, (kind, text)))
