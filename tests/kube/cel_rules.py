"""A CRD's `x-kubernetes-validations`, evaluated on a write as the API server does.

Semantics kept: a rule that mentions `oldSelf` runs on updates only, where the old value exists; at the root only
apiVersion, kind, metadata.name and metadata.generateName, spec and status are visible; a rule that cannot be
evaluated (a missing key, say) refuses the write. Source: kubernetes.io, "Validation rules" of CRDs.
"""

from __future__ import annotations

import functools
import marshal
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import cel

from kube.errors import Cause
from kube.schemas import Schema
from kube.storage import Object

_ABSENT: Final = object()


def cel_causes(item: Object, schema: Schema, old: Object | None) -> list[Cause]:
    """Every rule that `item` breaks; with `old`, transition rules too."""
    if not _has_rules(schema):
        return []
    before = _ABSENT if old is None else _root(old)
    return list(_walk(_root(item), schema, before, ""))


def broken_rules(value: Any, schema: Schema) -> list[Cause]:
    """Every rule that a value below the root breaks by itself."""
    return list(_walk(value, schema, _ABSENT, ""))


def _root(item: Object) -> Object:
    metadata = {key: item["metadata"][key] for key in ("name", "generateName") if key in item["metadata"]}
    return {**item, "metadata": metadata}


def _walk(value: Any, schema: Schema, old: Any, path: str) -> Iterator[Cause]:
    variables = {"self": value} | ({} if old is _ABSENT else {"oldSelf": old})
    rules = [
        (rule, key)
        for rule in schema.get("x-kubernetes-validations", ())
        if (old is not _ABSENT or "oldSelf" not in rule["rule"])
        and (key := _key(rule["rule"], schema, variables)) not in _HELD
    ]
    if rules:
        # One context for all rules of a place: converting a whole resource costs more than any rule.
        context = cel.Context(variables={name: _typed(each, schema) for name, each in variables.items()})
        context.add_function("getHours", _hours)
        for rule, key in rules:
            broken = list(_broken(rule, context, path))
            yield from broken
            if not broken:
                _HELD.add(key)
    match value:
        case dict():
            properties: Schema = schema.get("properties", {})
            extra = schema.get("additionalProperties")
            for key, each in value.items():
                below = properties.get(key, extra)
                if isinstance(below, Mapping) and _has_rules(below):
                    before = old.get(key, _ABSENT) if isinstance(old, dict) else _ABSENT
                    if before == each:
                        continue  # unchanged and admitted before: nothing below can be newly broken
                    yield from _walk(each, below, before, f"{path}.{key}" if path else key)
        case list() if _has_rules(schema.get("items", {})):
            for index, each in enumerate(value):
                # An atomic list's items cannot be told apart between writes: no transition rules below it.
                yield from _walk(each, schema.get("items", {}), _ABSENT, f"{path}[{index}]")


def _hours(moment: datetime, zone: str) -> int:
    """CEL's own, which the library lacks: an error where there is no such zone (cel-go, common/types/timestamp.go)."""
    return moment.astimezone(ZoneInfo(zone)).hour


def _has_rules(schema: Schema) -> bool:
    """Whether a rule stands here or below; worked out once a schema, which nobody changes."""
    known = _KNOWN.get(id(schema))
    if known is None or known[0] is not schema:
        parts = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
        below = any(isinstance(part, Mapping) and _has_rules(part) for part in parts)
        known = (schema, bool(schema.get("x-kubernetes-validations")) or below)
        _KNOWN[id(schema)] = known
    return known[1]


_KNOWN: Final[dict[int, tuple[Schema, bool]]] = {}


_HELD: Final[set[bytes]] = set()
"""Rules with what they read, where they held: a run's status is written thirty times beside the same spec."""
_NOTHING: Final = ()
"""As no JSON is."""


def _key(rule: str, schema: Schema, variables: Mapping[str, Any]) -> bytes:
    """A rule and what it reads; the same number is another one where the schema has it as another type."""
    parts = [(is_asked_for, _part(variables[name], path)) for is_asked_for, name, path in _reads(rule)]
    return marshal.dumps(
        (rule, schema.get("type"), [part == _NOTHING if is_asked_for else part for is_asked_for, part in parts]), 2
    )


@functools.cache
def _reads(rule: str) -> tuple[tuple[bool, str, tuple[str, ...]], ...]:
    """The paths below `self` and `oldSelf` that a rule names, without the methods it calls there; and whether it only
    asks with `has` if there is anything."""
    found = {
        (bool(has), name, tuple(path.split(".")[1 : -1 if call else None]))
        for has, name, path, call in re.findall(r"(has\()?\b(self|oldSelf)\b((?:\.\w+)*)(\()?", rule)
    }
    return tuple(sorted(found))


def _part(value: Any, path: tuple[str, ...]) -> Any:
    """What stands at `path`, or that nothing does; a value that is no map stands for all below it."""
    for name in path:
        if not isinstance(value, dict):
            break
        value = value.get(name, _NOTHING)
    return value


def _broken(rule: Mapping[str, Any], context: cel.Context, path: str) -> Iterator[Cause]:
    field = path + rule.get("fieldPath", "")
    field = field if path else field.removeprefix(".")
    try:
        holds = _compiled(rule["rule"]).execute(context)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        yield Cause(field, "FieldValueInvalid", f"Invalid value: evaluating rule: {error}")
        return
    if holds is not True:
        reason = rule.get("reason", "FieldValueInvalid")
        yield Cause(field, reason, f"Invalid value: {rule.get('message', 'failed rule: ' + rule['rule'])}")


@functools.cache
def _compiled(expression: str) -> Any:
    return cel.compile(expression)


def _typed(value: Any, schema: Schema) -> Any:
    """`value` with JSON's `1` as a double where the schema says number, as the API server's CEL sees it."""
    match value:
        case bool():
            return value
        case int() if schema.get("type") == "number":
            return float(value)
        case dict():
            properties: Schema = schema.get("properties", {})
            extra = schema.get("additionalProperties")
            return {
                key: _typed(each, properties.get(key, extra if isinstance(extra, Mapping) else {}))
                for key, each in value.items()
            }
        case list():
            return [_typed(each, schema.get("items", {})) for each in value]
        case _:
            return value
