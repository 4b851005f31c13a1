"""A CRD's structural schema at work: prune, default, validate.

The order is the API server's: unknown fields go, nulls of fields that are not nullable go, defaults come, then the
rest is validated, CEL last. Source: kubernetes.io, "Extend the Kubernetes API with CustomResourceDefinitions"
(field pruning; defaulting and nullable), and apiextensions-apiserver `pkg/apiserver/schema`.
"""

from __future__ import annotations

import hashlib
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import jsonschema  # type: ignore[import-untyped]  # ships no types

from kube.errors import Cause
from kube.storage import Object, copied, packed

Schema = Mapping[str, Any]

_FORMATS = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)  # type: ignore[untyped-decorator]
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def prune(item: Object, schema: Schema, same: frozenset[str] = frozenset()) -> list[str]:
    """Remove, in place, what the schema does not know; returns the removed paths.

    Root metadata is left alone, and so are the fields in `same`: they were pruned before."""
    known = {"apiVersion", "kind", "metadata", *same}
    kept = {key: item.pop(key) for key in known & set(item)}
    removed = list(_prune(item, schema, ""))
    item.update(kept)
    return removed


def _prune(value: Any, schema: Schema, path: str) -> Iterable[str]:
    match value:
        case dict():
            properties: Schema = schema.get("properties", {})
            extra = schema.get("additionalProperties")
            open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or extra is True
            for key in list(value):
                below = f"{path}.{key}" if path else key
                if key in properties:
                    yield from _prune(value[key], properties[key], below)
                elif isinstance(extra, Mapping):
                    yield from _prune(value[key], extra, below)
                elif not open_ended:
                    del value[key]
                    yield below
        case list():
            for index, each in enumerate(value):
                yield from _prune(each, schema.get("items", {}), f"{path}[{index}]")


def apply_defaults(value: Any, schema: Schema, same: frozenset[str] = frozenset()) -> None:
    """Fill in defaults in place, after dropping nulls that the schema does not allow. `same` fields have theirs."""
    match value:
        case dict():
            for key in [key for key, each in value.items() if each is None]:
                below = _below(schema, key)
                if below is not None and not below.get("nullable"):
                    del value[key]
            for key, below in schema.get("properties", {}).items():
                if key not in value and "default" in below:
                    value[key] = copied(below["default"])
            for key in value.keys() - same:
                apply_defaults(value[key], _below(schema, key) or {})
        case list():
            for each in value:
                apply_defaults(each, schema.get("items", {}))


def _below(schema: Schema, key: str) -> Schema | None:
    """The schema of one key of an object, if there is one."""
    extra = schema.get("additionalProperties")
    return schema.get("properties", {}).get(key, extra if isinstance(extra, Mapping) else None)


class Validator:
    """Types, enums, bounds, patterns, lengths and required fields of one schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = _without_nullable(schema)
        self._parts = {name: _validator(part) for name, part in self._schema.get("properties", {}).items()}

    def causes(self, item: Object, old: Object | None) -> list[Cause]:
        """Everything that is wrong with `item` but was not already so in `old`.

        Unchanged parts are not looked at again, which is also how the API server forgives old sins (ratcheting,
        KEP-4008), though it does so field by field.
        """
        missing = [name for name in self._schema.get("required", ()) if name not in item]
        found = [Cause(name, "FieldValueRequired", "Required value") for name in missing]
        for name, validator in self._parts.items():
            if name in item and (old is None or old.get(name) != item[name]):
                errors = sorted(validator.iter_errors(item[name]), key=lambda each: list(map(str, each.path)))
                found += [_cause(name, error) for error in errors]
        return found


def _bound(name: str, is_beyond: Callable[[float, float], bool]) -> Callable[..., Iterator[jsonschema.ValidationError]]:
    """`minimum` or `maximum`, with the API server's trap: a whole number is compared with the bound cut to a whole
    number (kube-openapi, `MaximumNativeType`), so that 0 is not below an exclusive 0.5."""

    def check(_: object, bound: float, value: object, schema: Schema) -> Iterator[jsonschema.ValidationError]:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        limit = int(bound) if isinstance(value, int) else bound
        is_exclusive = schema.get("exclusive" + name.capitalize(), False)
        if is_beyond(value, limit) or (is_exclusive and value == limit):
            side = "greater" if name == "minimum" else "less"
            yield jsonschema.ValidationError(f"should be {side} than {'' if is_exclusive else 'or equal to '}{limit}")

    return check


def _properties(
    validator: Any, properties: Schema, instance: object, schema: Schema
) -> Iterator[jsonschema.ValidationError]:
    """`properties`, but a map or list that passed the same schema before is not looked at again."""
    if isinstance(instance, dict):
        for name, below in properties.items():
            if name in instance:
                yield from _descend(validator, instance[name], below, path=name, schema_path=name)


def _items(validator: Any, items: Schema, instance: object, schema: Schema) -> Iterator[jsonschema.ValidationError]:
    """`items`, likewise: of a run's thirty writes of its steps, each changes one."""
    if isinstance(instance, list):
        for index, each in enumerate(instance):
            yield from _descend(validator, each, items, path=index)


def _descend(validator: Any, value: object, schema: Schema, **place: Any) -> Iterator[jsonschema.ValidationError]:
    if not isinstance(value, dict | list):
        yield from validator.descend(value, schema, **place)
        return
    key = hashlib.blake2b(packed(value), digest_size=16).digest()
    passed = _PASSED.setdefault(id(schema), (schema, set()))[1]
    if key not in passed:
        found = list(validator.descend(value, schema, **place))
        yield from found
        if not found:
            passed.add(key)


_PASSED: Final[dict[int, tuple[Schema, set[bytes]]]] = {}
"""Digests of what passed, by schema; the schema is kept, so that its id is no other's."""


def _pattern(_: object, pattern: str, value: object, schema: Schema) -> Iterator[jsonschema.ValidationError]:
    """Go's `$` is the end of the text; Python's also stands before a line break at the end."""
    if isinstance(value, str) and re.search(re.sub(r"\$$", r"\\Z", pattern), value) is None:
        yield jsonschema.ValidationError(f"should match '{pattern}'")


_Draft = jsonschema.validators.extend(
    jsonschema.Draft4Validator,
    {
        "minimum": _bound("minimum", operator.lt),
        "maximum": _bound("maximum", operator.gt),
        "pattern": _pattern,
        "properties": _properties,
        "items": _items,
    },
)


def _validator(schema: Any) -> Any:
    return _Draft(schema, format_checker=_FORMATS)


def _without_nullable(schema: Any) -> Any:
    """OpenAPI's `nullable` in JSON Schema's words."""
    match schema:
        case dict():
            changed = {key: _without_nullable(value) for key, value in schema.items()}
            if schema.get("nullable") is True and isinstance(schema.get("type"), str):
                changed["type"] = [schema["type"], "null"]
            return changed
        case list():
            return [_without_nullable(each) for each in schema]
        case _:
            return schema


def _cause(root: str, error: jsonschema.ValidationError) -> Cause:
    path = _dotted([root, *error.absolute_path])
    value = error.instance
    match error.validator:
        case "required":
            missing = next(name for name in error.validator_value if name not in value)
            return Cause(f"{path}.{missing}" if path else missing, "FieldValueRequired", "Required value")
        case "enum":
            supported = ", ".join(f'"{each}"' for each in error.validator_value)
            return Cause(
                path, "FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {supported}"
            )
        case "type":
            wanted = error.validator_value
            kind = wanted if isinstance(wanted, str) else wanted[0]
            message = f"Invalid value: {_shown(_type_name(value))}: {path} in body must be of type {kind}: "
            return Cause(path, "FieldValueTypeInvalid", message + _shown(_type_name(value)))
        case "pattern":
            message = f"should match '{error.validator_value}'"
            return Cause(path, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {path} in body {message}")
        case "minimum" | "maximum":
            return Cause(path, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {path} in body {error.message}")
        case "format":
            wanted = error.validator_value
            message = f"must be of type {wanted}: {_shown(value)}"
            return Cause(path, "FieldValueTypeInvalid", f"Invalid value: {_shown(value)}: {path} in body {message}")
        case _:
            return Cause(path, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {path} in body: {error.message}")


def _dotted(path: Iterable[str | int]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _type_name(value: object) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return "null" if value is None else names[type(value)]
