"""A run from a YAML file, and what is wrong with it in the user's words: one line a problem.

Every line names the file, the field as it stands in the file, the value and what to do. This module reads the
file it is given and nothing else: whether a dataset or a package exists is asked elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml
from pydantic import ValidationError

from selfreward.api.overlay import overlaid
from selfreward.api.problems import described
from selfreward.api.rules import violations
from selfreward.api.run import SelfRewardRun


class RunInvalid(Exception):
    """A file that is no valid run; `problems` are whole lines."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def load_run(path: Path, overrides: Sequence[str] = (), patches: Sequence[Path] = ()) -> SelfRewardRun:
    """The run that `path` holds, with the files `patches` over it, one after the other; raises RunInvalid.

    `overrides` stand above both and are `spec.field=value` with the value in YAML. A `file://` URI without a leading
    slash is relative to the file's own folder, so that an example can be run from anywhere.
    """
    document = _parsed(path)
    for patch in patches:
        document = overlaid(document, _parsed(patch))
    for override in overrides:
        _set(document, override)
    _resolve_files(document, path.absolute().parent)
    try:
        run = SelfRewardRun.model_validate(document)
    except ValidationError as error:
        raise RunInvalid([f"{path}: {line}" for line in described(error, SelfRewardRun)]) from error
    broken = [f"{path}: {broken.path}: {_shown(document, broken.path)}{broken.message}" for broken in violations(run)]
    if broken:
        raise RunInvalid(broken)
    return run


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


def _parsed(path: Path) -> dict[str, Any]:
    try:
        documents = list(yaml.load_all(path.read_text(encoding="utf-8"), _Loader))
    except OSError as error:
        raise RunInvalid([f"{path}: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise RunInvalid([f"{path}: byte {error.start}: not UTF-8 text"]) from error
    except yaml.MarkedYAMLError as error:
        raise RunInvalid([f"{path}: {_marked(error)}"]) from error
    except yaml.YAMLError as error:
        raise RunInvalid([f"{path}: {' '.join(str(error).split())}"]) from error
    documents = [document for document in documents if document is not None]
    if len(documents) != 1:
        raise RunInvalid([f"{path}: holds {len(documents)} documents: give it exactly one SelfRewardRun"])
    if not isinstance(documents[0], dict):
        raise RunInvalid([f"{path}: holds {_compact(documents[0])}: must be a mapping with metadata and spec"])
    return documents[0]


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, which YAML forbids and PyYAML lets pass, keeping the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _marked(error: yaml.MarkedYAMLError) -> str:
    words = error.problem or error.context or "not YAML"
    mark = error.problem_mark or error.context_mark
    return words if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {words}"


def _set(document: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path.startswith(("spec.", "metadata.")):
        raise RunInvalid([f"--set {override}: must be spec.FIELD=VALUE"])
    *parents, last = path.split(".")
    place = document
    for name in parents:
        below = place.setdefault(name, {})
        if not isinstance(below, dict):
            raise RunInvalid([f"--set {override}: {name} is {_compact(below)}, which has no fields"])
        place = below
    try:
        place[last] = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise RunInvalid([f"--set {override}: the value is not YAML"]) from error


def _resolve_files(value: Any, folder: Path) -> None:
    for mapping in _mappings(value):
        uri = mapping.get("uri")
        if isinstance(uri, str) and uri.startswith("file://") and not uri.startswith("file:///"):
            relative = uri.removeprefix("file://")
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
    return "" if document is None or isinstance(document, dict) else f"{_compact(document)}: "


def _compact(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
