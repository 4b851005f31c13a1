"""Pydantic's errors in the words of somebody who wrote a YAML file."""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from selfreward.api.schedule import CRON, ZONE

UNKNOWN: Final = "extra_forbidden"
"""Pydantic's kind of an unknown field."""
_WORDS: Final[dict[str, str]] = {
    "missing": "is required",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be below {lt}",
    "finite_number": "must be a finite number",
    "string_too_short": "must not be empty",
    "too_short": "must have at least {min_length}",
    "string_too_long": "must have at most {max_length} characters",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text; put it in quotes",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}
PATTERNS: Final[dict[str, str]] = {
    CRON: "must be five cron fields, such as 0 22 * * MON-FRI, or @daily and the like",
    ZONE: "must be the name of a time zone, such as Europe/Berlin",
    r"^(hf://|s3://|file:///|package://)[^\x00-\x1f]+$": (
        "must begin with hf://, s3://, file:/// or package://, without control characters"
    ),
    r"^(hf://datasets/|s3://|file:///|package://)[^\x00-\x1f]+$": (
        "must begin with hf://datasets/, s3://, file:/// or package://, without control characters"
    ),
    r"^[A-Za-z0-9][-A-Za-z0-9._]*/[A-Za-z0-9][-A-Za-z0-9._]*$": "must be OWNER/NAME, as the hub writes it",
    r"^(s3://|file:///|package://)[^\x00-\x1f]+$": (
        "must begin with s3://, file:/// or package://, without control characters"
    ),
    r"^(s3://|file:///)[^\x00-\x1f?#]+$": (
        "must begin with s3:// or file:///, without control characters, '?' and '#' (in a file URI: %3F, %23)"
    ),
    r"^/[^\x00-\x1f]+$": "must be an absolute path, beginning with /",
    r"^https?://[^\x00-\x20]+$": "must begin with http:// or https://, without spaces",
    r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$": "must be a name of Kubernetes: lower-case letters, digits, dashes and dots",
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[-A-Za-z0-9._~/]+$": (
        "must be a name with a domain before it, such as kueue.x-k8s.io/multikueue"
    ),
    r"^[-._a-zA-Z0-9]+$": "must be letters, digits, dashes, dots and underscores",
    r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$": (
        "must be a label's value: letters, digits, dashes, dots and underscores, of which the first two at its ends"
    ),
    r"^[-+]?([0-9]+([.][0-9]*)?|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$": (
        'must be an amount such as 2, "500m" or "16Gi"'
    ),
    r"^[a-z]([-a-z0-9]*[a-z0-9])?$": "must be lower-case letters, digits and dashes, beginning with a letter",
}

_METADATA: Final = (
    *("name", "generateName", "namespace", "labels", "annotations", "finalizers", "ownerReferences", "managedFields"),
    *("uid", "resourceVersion", "generation", "selfLink", "creationTimestamp", "deletionTimestamp"),
    "deletionGracePeriodSeconds",
)


def described(
    error: ValidationError, model: type[BaseModel], is_told: Callable[[ErrorDetails], bool] = lambda _: True
) -> list[str]:
    """One line a problem: `spec.prompts.count: 0: must be at least 1`."""
    problems = [problem for problem in error.errors(include_url=False) if is_told(problem)]
    return list(dict.fromkeys(_line(problem, model) for problem in problems))


def unknown_metadata(document: Mapping[str, Any]) -> list[str]:
    """One line for each field of `metadata` that Kubernetes does not have; only some of them are read here."""
    metadata = document.get("metadata")
    return [
        f"metadata.{name}: unknown field{_suggestion(name, _METADATA)}"
        for name in (metadata if isinstance(metadata, dict) else ())
        if name not in _METADATA
    ]


def _line(problem: ErrorDetails, model: type[BaseModel]) -> str:
    location, kind = problem["loc"], problem["type"]
    path = _path(location)
    if kind == "missing":
        return f"{path}: is required"
    if kind == UNKNOWN:
        return f"{path}: unknown field{_suggestion(str(location[-1]), _fields(model, location[:-1]))}"
    return f"{path}: {compact(problem['input'])}: {_words(problem)}"


def _words(problem: ErrorDetails) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in ("enum", "literal_error"):
        options = _options(str(context.get("expected", "")))
        return f"must be one of {', '.join(options)}{_suggestion(str(problem['input']), options)}"
    if kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern", ""))
        return PATTERNS.get(pattern, f"must match {pattern}")
    if kind in _WORDS:
        limits = {name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in context.items()}
        return _WORDS[kind].format(**limits)
    return problem["msg"][:1].lower() + problem["msg"][1:]


def _options(expected: str) -> list[str]:
    """`'a', 'b' or 'c'` → a, b, c."""
    return [word.strip(" '") for word in expected.replace(" or ", ", ").split(",")]


def _suggestion(word: str, known: Sequence[str]) -> str:
    folded = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower().replace("_", ""), folded, n=1, cutoff=0.6)
    return f"; did you mean {folded[close[0]]}?" if close else ""


def _fields(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The fields that are known at a place, as they are spelled in the file."""
    found: list[type[BaseModel]] = [model]
    for name in location:
        if isinstance(name, int):
            continue
        found = [
            inner
            for each in found
            for field_name, field in each.model_fields.items()
            if name in (field.alias, field_name)
            for inner in _models(field.annotation)
        ]
    return [field.alias or name for each in found for name, field in each.model_fields.items()]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models within an annotation: of `X | None`, `list[X]`, `Annotated[X, …]`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for inner in typing.get_args(annotation):
        yield from _models(inner)


def _path(location: Sequence[int | str]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "(whole file)"


def compact(value: Any) -> str:
    """A value in at most 80 characters of JSON."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
