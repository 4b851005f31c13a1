"""A run from a YAML file, and what is wrong with it in the user's words: one line a problem.

Every line names the file, the field as it stands in the file, the value and what to do. This module reads the
file it is given and nothing else: whether a dataset or a package exists is asked elsewhere.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from pydantic import ValidationError

from selfreward.api.overlay import overlaid
from selfreward.api.problems import UNKNOWN, compact, described, unknown_metadata
from selfreward.api.rules import violations
from selfreward.api.run import API_VERSION, KIND, SelfRewardRun
from selfreward.api.yaml_text import MAX_BYTES, NotYaml, read_document, read_value

STANDARD_INPUT: Final = Path("-")
_INT64: Final = range(-(2**63), 2**63)


class RunInvalid(Exception):
    """A file that is no valid run; `problems` are whole lines."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def load_run(
    path: Path, overrides: Sequence[str] = (), patches: Sequence[Path] = (), *, for_cluster: bool = False
) -> SelfRewardRun:
    """The run that `path` (`-` is standard input) holds, with the files `patches` over it, one after the other.

    `overrides` stand above both and are `spec.field=value` with the value in YAML. A `file://` URI without a leading
    slash is relative to the file's own folder, so that an example can be run from anywhere; not `for_cluster`, where
    the folders of this machine are not, and where a document must say what it is. Raises RunInvalid.
    """
    document = _read(path)
    for patch in patches:
        document = overlaid(document, _read(patch))
    for override in overrides:
        _set(document, override)
    if not for_cluster:
        _resolve_files(document, Path.cwd() if path == STANDARD_INPUT else path.absolute().parent)
    nameless = [
        f"{name}: is required: {value}"
        for name, value in (("apiVersion", API_VERSION), ("kind", KIND))
        if for_cluster and document.get(name) is None
    ]
    try:
        run = checked(document)
    except RunInvalid as error:
        raise RunInvalid([f"{label(path)}: {problem}" for problem in (*nameless, *error.problems)]) from error
    if nameless:
        raise RunInvalid([f"{label(path)}: {problem}" for problem in nameless])
    return run


def label(path: Path) -> str:
    """What a message calls the file."""
    return "standard input" if path == STANDARD_INPUT else str(path)


def checked(document: dict[str, Any]) -> SelfRewardRun:
    """The run that a document describes, by the API server's rules: as JSON, without conversions, under the names of
    the CRD. Raises RunInvalid, whose lines do not name the file.

    A `status` is dropped, as the API server drops it from what is applied.
    """
    sent = _as_sent({name: value for name, value in document.items() if name != "status"})
    unknown = [*unknown_metadata(document), *_unknown_nulls(sent)]
    try:
        run = _validated(_without_nulls(sent))
    except ValidationError as error:
        raise RunInvalid([*unknown, *described(error, SelfRewardRun)]) from error
    broken = [f"{broken.path}: {_shown(document, broken.path)}{broken.message}" for broken in violations(run)]
    if problems := [*unknown, *broken]:
        raise RunInvalid(problems)
    return run


def _validated(document: Any) -> SelfRewardRun:
    return SelfRewardRun.model_validate_json(json.dumps(document), strict=True, by_alias=True, by_name=False)


def _unknown_nulls(document: Any) -> list[str]:
    """One line for each unknown field that is null: null makes a field absent, but not known."""
    try:
        _validated(document)
    except ValidationError as error:
        return described(error, SelfRewardRun, lambda problem: problem["type"] == UNKNOWN and problem["input"] is None)
    return []


def _without_nulls(value: Any) -> Any:
    """Null in a mapping is absent; in a list it is an entry."""
    match value:
        case dict():
            return {name: _without_nulls(each) for name, each in value.items() if each is not None}
        case list():
            return [_without_nulls(each) for each in value]
        case _:
            return value


def _as_sent(value: Any) -> Any:
    """A value as it reaches the API server: `2.0` is the integer 2, and an integer of more than 64 bits is none (Go's
    encoding/json; apimachinery, pkg/util/json)."""
    match value:
        case dict():
            return {name: _as_sent(each) for name, each in value.items()}
        case list():
            return [_as_sent(each) for each in value]
        case int() if value not in _INT64:
            return float(value)
        case float() if value.is_integer() and int(value) in _INT64:
            return int(value)
        case _:
            return value


def changes_refused(run: SelfRewardRun, old: SelfRewardRun) -> list[str]:
    """One line for each change from `old`, with its status, that a run under way does not allow."""
    new_document, old_document = (each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in (run, old))
    return [
        f"{broken.path}: {_shown(new_document, broken.path)}{broken.message}{_was(old_document, broken.path)}"
        for broken in violations(run, old)
    ]


def _was(document: Any, path: str) -> str:
    before = _shown(document, path).removesuffix(": ")
    return f" (it was {before})" if before else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        if path == STANDARD_INPUT:
            return read_document(sys.stdin.buffer.read(MAX_BYTES + 1))
        with path.open("rb") as file:
            return read_document(file.read(MAX_BYTES + 1))
    except OSError as error:
        raise RunInvalid([f"{label(path)}: {error.strerror}"]) from error
    except NotYaml as error:
        raise RunInvalid([f"{label(path)}: {error}"]) from error


def _set(document: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path.startswith(("spec.", "metadata.")) or not path.isprintable():
        raise RunInvalid([f"--set {override}: must be spec.FIELD=VALUE"])
    *parents, last = path.split(".")
    place = document
    for name in parents:
        if place.get(name) is None:
            place[name] = {}
        below = place[name]
        if not isinstance(below, dict):
            raise RunInvalid([f"--set {override}: {name} is {compact(below)}, which has no fields"])
        place = below
    try:
        place[last] = read_value(text)
    except NotYaml as error:
        raise RunInvalid([f"--set {override}: the value is not YAML: {error}"]) from error


def _resolve_files(value: Any, folder: Path) -> None:
    for mapping in _mappings(value):
        uri = mapping.get("uri")
        if not isinstance(uri, str) or not uri.startswith("file://") or uri.startswith("file:///"):
            continue
        relative = uri.removeprefix("file://")
        # Some are no path at all (NUL, a loop of links): the schema refuses such a one as it stands.
        with suppress(OSError, ValueError, RuntimeError):
            mapping["uri"] = (folder / unquote(relative)).resolve().as_uri() if relative else uri


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for below in value.values():
            yield from _mappings(below)
    elif isinstance(value, list):
        for below in value:
            yield from _mappings(below)


def _shown(document: Any, path: str) -> str:
    """The value at `path` with a colon behind it; empty when the file does not say it."""
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return "" if document is None or isinstance(document, dict) else f"{compact(document)}: "
