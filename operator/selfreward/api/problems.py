"""Pydantic's errors in the words of somebody who wrote a YAML file."""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

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
_PATTERNS: Final[dict[str, str]] = {
    r"^(hf|s3|file|package)://.+": "must begin with hf://, s3://, file:// or package://",
    r"^(hf://datasets/|s3://|file://|package://).+": ("must begin with hf://datasets/, s3://, file:// or package://"),
    r"^(s3://.+|file:///.+)": "must begin with s3:// or file:///",
    r"^/.+": "must be an absolute path, beginning with /",
    r"^https?://.+": "must begin with http:// or https://",
    r"^[a-z]([-a-z0-9]*[a-z0-9])?$": "must be lower-case letters, digits and dashes, beginning with a letter",
}


def described(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line a problem: `spec.prompts.count: 0: must be at least 1`."""
    return list(dict.fromkeys(_line(problem, model) for problem in error.errors(include_url=False)))


def _line(problem: ErrorDetails, model: type[BaseModel]) -> str:
    location, kind = problem["loc"], problem["type"]
    path = _path(location)
    if kind == "missing":
        return f"{path}: is required"
    if kind == "extra_forbidden":
        return f"{path}: unknown field{_suggestion(str(location[-1]), _fields(model, location[:-1]))}"
    return f"{path}: {_compact(problem['input'])}: {_words(problem)}"


def _words(problem: ErrorDetails) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in ("enum", "literal_error"):
        options = _options(str(context.get("expected", "")))
        return f"must be one of {', '.join(options)}{_suggestion(str(problem['input']), options)}"
    if kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern", ""))
        return _PATTERNS.get(pattern, f"must match {pattern}")
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


def _compact(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
