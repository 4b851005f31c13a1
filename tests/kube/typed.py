"""Built-in kinds are typed: what the API server's structs know, and must have, taken from the client's own models.

So a misspelt field of a manifest is noticed here as on a cluster: dropped with a warning by create and update,
refused by server-side apply. The trainers' CRDs embed pod templates, which are checked the same way.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from typing import Any, Final

from kubernetes.client import models

from kube.errors import Cause
from kube.kinds import Kind
from kube.storage import Object

_CONTAINER_TYPE = re.compile(r"^(list|dict)\[(?:str, )?(.+)\]$", re.IGNORECASE)
_SCALARS: Final[dict[str, tuple[type, ...]]] = {"str": (str,), "int": (int,), "bool": (bool,), "float": (int, float)}
_QUANTITIES: Final = frozenset({"limits", "requests", "capacity"})
"""Maps of quantities, which may be written as numbers."""


@functools.cache
def model_of(kind: Kind) -> str | None:
    """The client's model of a built-in kind; None for a custom one, and for the open-ended schemas of a CRD."""
    if kind.is_custom or kind.kind == "CustomResourceDefinition":
        return None
    # Event is in the client twice; the core group's is the one that is posted.
    name = "CoreV1Event" if kind.kind == "Event" else f"V1{kind.kind}"
    return name if hasattr(models, name) else None


def prune_typed(item: Object, model: str, same: frozenset[str] = frozenset()) -> list[str]:
    """Remove, in place, the fields that `model` does not have, without a look into `same`; returns their paths."""
    fields = _fields(model)
    unknown = [key for key in item if key not in fields]
    for key in unknown:
        del item[key]
    below = (_prune(value, fields[key][0], key) for key, value in item.items() if key not in same)
    return [*unknown, *itertools.chain.from_iterable(below)]


def typed_causes(item: Object, model: str, old: Object | None = None) -> list[Cause]:
    """Values of the wrong type and required fields that are absent; what is as it was in `old` passed before."""
    return list(_check_fields(item, model, "", old or {}))


@functools.cache
def _fields(model: str) -> dict[str, tuple[str, bool]]:
    """JSON name → (type, required)."""
    found = getattr(models, model)
    required = {field.alias or name for name, field in found.model_fields.items() if field.is_required()}
    return {
        json_name: (found.openapi_types[name], json_name in required) for name, json_name in found.attribute_map.items()
    }


@functools.cache
def _inner(kind: str) -> str:
    found = _CONTAINER_TYPE.match(kind)
    return kind if found is None else found[2]


@functools.cache
def _is_model(kind: str) -> bool:
    return hasattr(models, kind) and hasattr(getattr(models, kind), "openapi_types")


def _prune(value: Any, kind: str, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _prune(each, _inner(kind), f"{path}[{index}]")
    elif isinstance(value, dict) and kind.lower().startswith("dict["):
        for key, each in value.items():
            yield from _prune(each, _inner(kind), f"{path}.{key}")
    elif isinstance(value, dict) and _is_model(kind):
        fields = _fields(kind)
        for key in list(value):
            below = f"{path}.{key}" if path else key
            if key not in fields:
                del value[key]
                yield below
            else:
                yield from _prune(value[key], fields[key][0], below)


def _check(value: Any, kind: str, path: str) -> Iterator[Cause]:
    if value is None or path.rpartition(".")[2] in _QUANTITIES:
        return
    if found := _CONTAINER_TYPE.match(kind):
        yield from _check_container(value, found[1].lower(), found[2], path)
    elif _is_model(kind):
        if not isinstance(value, dict):
            yield _wrong(path, value, "object")
            return
        yield from _check_fields(value, kind, path, {})
    elif kind in _SCALARS and (not isinstance(value, _SCALARS[kind]) or (isinstance(value, bool) and kind != "bool")):
        yield _wrong(path, value, kind)


def _check_fields(value: Object, model: str, path: str, old: Object) -> Iterator[Cause]:
    for name, (below, required) in _fields(model).items():
        where = f"{path}.{name}" if path else name
        if value.get(name) is None and required:
            yield Cause(where, "FieldValueRequired", "Required value")
        elif name in value and (name not in old or value[name] != old[name]):
            yield from _check(value[name], below, where)


def _check_container(value: Any, container: str, inner: str, path: str) -> Iterator[Cause]:
    if not isinstance(value, list if container == "list" else dict):
        yield _wrong(path, value, container)
        return
    pairs = enumerate(value) if isinstance(value, list) else value.items()
    for key, each in pairs:
        yield from _check(each, inner, f"{path}[{key}]")


def _wrong(path: str, value: object, wanted: str) -> Cause:
    return Cause(path, "FieldValueTypeInvalid", f"Invalid value: {value!r}: must be of type {wanted}")
