"""The model card (`README.md`) of an imported model: where it comes from and what was done to it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from pydantic import JsonValue

_LICENCES = (
    (r"Apache License\s+Version 2\.0", "apache-2.0"),
    (r"\bMIT License\b", "mit"),
    (r"Llama 3(\.\d)? Community License", "llama3"),
    (r"BSD 3-Clause", "bsd-3-clause"),
)


def licence_of(folder: Path) -> str | None:
    """The licence that a model's own card or licence file states, as the hub names it; None when unknown."""
    stated = front_matter(folder / "README.md").get("license")
    if isinstance(stated, str) and stated:
        return stated
    for path in sorted(folder.glob("LICENSE*")):
        text = path.read_text(encoding="utf-8", errors="replace")[:4000]
        for pattern, name in _LICENCES:
            if re.search(pattern, text, re.IGNORECASE):
                return name
    return None


def front_matter(path: Path) -> dict[str, JsonValue]:
    """The YAML between the two `---` lines that open a card; empty when there is none or it is not a mapping."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    found = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    if found is None:
        return {}
    try:
        loaded = yaml.safe_load(found[1])
    except yaml.YAMLError:
        return {}
    return loaded if isinstance(loaded, dict) else {}


def card(title: str, header: Mapping[str, JsonValue], facts: Mapping[str, str], notes: Sequence[str]) -> str:
    """A model card: `header` becomes the hub's metadata (None left out), `facts` a table, `notes` paragraphs."""
    known = {name: value for name, value in header.items() if value is not None}
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    paragraphs = "\n\n".join(notes)
    front = yaml.safe_dump(known, sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n# {title}\n\n| | |\n| --- | --- |\n{rows}\n\n{paragraphs}\n"
