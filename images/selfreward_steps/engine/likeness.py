"""Likeness of two model folders: whether one engine can serve the second after the first, and whether files changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from selfreward_steps.contract import VERIFIED

_CONFIGURATION: Final = "config.json"
_TOKENIZER: Final = ("tokenizer", "special_tokens", "added_tokens", "chat_template", "vocab", "merges")
"""Beginnings of the names of the files that make tokens of text, which an engine reads when it starts."""
_PROVENANCE: Final = frozenset({"transformers_version", "_name_or_path", "name_or_path"})
"""Fields that say where a model came from, and not what it is."""


def differing_file(first: Path, second: Path) -> str | None:
    """The first file that makes the models of two folders need engines of their own; None when one will do."""
    names = {file.name for folder in (first, second) for file in folder.iterdir() if _matters(file.name)}
    for name in sorted(names):
        if _content(first / name) != _content(second / name):
            return name
    return None


def file_stamps(folder: Path) -> dict[str, list[int]]:
    """Size in bytes, time of change in ns and inode of each file, through links: equal as long as nobody wrote one."""
    stats = {file.name: file.stat() for file in folder.iterdir() if file.name != VERIFIED}
    return {name: [stat.st_size, stat.st_mtime_ns, stat.st_ino] for name, stat in sorted(stats.items())}


def _matters(name: str) -> bool:
    return name == _CONFIGURATION or name.startswith(_TOKENIZER)


def _content(file: Path) -> Any:
    if not file.exists():
        return None
    content = file.read_bytes()
    if file.suffix != ".json":
        return content
    fields = json.loads(content)
    return {name: value for name, value in fields.items() if name not in _PROVENANCE}
