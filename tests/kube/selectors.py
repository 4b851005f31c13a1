"""Label and field selectors, as lists, watches and workloads use them.

Grammar: k8s.io/apimachinery `pkg/labels/selector.go` (equality- and set-based requirements joined by commas).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from kube.errors import ApiError, bad_request
from kube.kinds import Kind
from kube.storage import Object

Matches = Callable[[Object], bool]

_SET = re.compile(r"^(?P<key>[^\s!=]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^)]*)\)$")
_EQUALITY = re.compile(r"^(?P<key>[^\s!=]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s=!]*)$")
_EXISTS = re.compile(r"^(?P<absent>!?)\s*(?P<key>[^\s!=(),]+)$")

FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "Pod": frozenset({"status.phase", "spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName"}),
    "Event": frozenset(
        {
            "type",
            "reason",
            "involvedObject.kind",
            "involvedObject.name",
            "involvedObject.namespace",
            "involvedObject.uid",
        }
    ),
    "Secret": frozenset({"type"}),
    "Job": frozenset({"status.successful"}),
    "Namespace": frozenset({"status.phase"}),
}
"""Selectable fields beside metadata.name and metadata.namespace (each kind's `strategy.go`, `SelectableFields`)."""


def label_selector(text: str) -> Matches:
    """The predicate of a `labelSelector` parameter; raises ApiError 400 when it cannot be read."""
    requirements = [_requirement(part.strip()) for part in _split(text) if part.strip()]
    return lambda item: all(holds(item["metadata"].get("labels") or {}) for holds in requirements)


def match_labels(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a `LabelSelector` object's matchLabels hold (no workload of ours uses matchExpressions)."""
    assert set(selector) <= {"matchLabels"}, f"this fake reads matchLabels only, got {sorted(selector)}"
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())


def field_selector(kind: Kind, text: str, custom: frozenset[str] = frozenset()) -> Matches:
    """The predicate of a `fieldSelector` parameter; `custom` are a CRD's selectableFields."""
    allowed = {"metadata.name", "metadata.namespace", *FIELDS.get(kind.kind, ()), *custom}
    requirements = [_field(part.strip(), allowed) for part in text.split(",") if part.strip()]
    return lambda item: all(holds(item) for holds in requirements)


def _split(text: str) -> list[str]:
    """Split at the commas that are outside parentheses."""
    return re.split(r",(?![^(]*\))", text)


def _requirement(part: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.match(part):
        key, values = found["key"], {value.strip() for value in found["values"].split(",")}
        if found["operator"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUALITY.match(part):
        key, value = found["key"], found["value"]
        if found["operator"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _EXISTS.match(part):
        key = found["key"]
        return (lambda labels: key not in labels) if found["absent"] else (lambda labels: key in labels)
    raise bad_request(f"unable to parse requirement: {part!r}")


def _field(part: str, allowed: set[str]) -> Matches:
    found = _EQUALITY.match(part)
    if found is None:
        raise bad_request(f"invalid field selector: {part!r}: can't understand")
    path, operator, value = found["key"], found["operator"], found["value"]
    if path not in allowed:
        raise _not_selectable(path)
    wanted = operator != "!="
    return lambda item: (_text_at(item, path) == value) is wanted


def _not_selectable(path: str) -> ApiError:
    return bad_request(f"field label not supported: {path}")


def _text_at(item: Object, path: str) -> str:
    value: Any = item
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else str(value)
