"""The card (`README.md`) of an imported model, and the licence that the card or the files of its source state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml
from huggingface_hub import ModelCardData, metadata_load

from selfreward_steps.contract import ModelImport
from selfreward_steps.importing.chat_template import Chat

_LICENCES: Final = (
    (r"Apache License\s+Version 2\.0", "apache-2.0"),
    (r"\bMIT License\b", "mit"),
    (r"Llama 3(\.\d)? Community License", "llama3"),
    (r"BSD 3-Clause", "bsd-3-clause"),
)
_TEMPLATES: Final = {"own": "the model's", "default": "SelfReward's plain one", "given": "given by the run"}


def licence_of(folder: Path) -> str | None:
    """The licence that a model's own card or licence file states, as the hub names it; None when unknown."""
    stated = _stated_in(folder / "README.md")
    if stated:
        return stated
    for path in sorted(folder.glob("LICENSE*")):
        text = path.read_text(encoding="utf-8", errors="replace")[:4000]
        for pattern, name in _LICENCES:
            if re.search(pattern, text, re.IGNORECASE):
                return name
    return None


def _stated_in(card: Path) -> str | None:
    try:
        stated = (metadata_load(card) or {}).get("license")
    except (FileNotFoundError, ValueError, yaml.YAMLError):
        # Somebody else's file: one that the hub could not read either says nothing.
        return None
    return stated if isinstance(stated, str) else None


def model_card(
    item: ModelImport, revision: str | None, licence: str | None, facts: Mapping[str, str], chat: Chat
) -> str:
    """The text of the card: the hub's metadata, where the model comes from and what was changed on import."""
    source = item.source.uri
    data = ModelCardData(
        license=licence,
        base_model=source.removeprefix("hf://") if source.startswith("hf://") else None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["selfreward"],
    )
    told = {
        "source": source,
        "revision": revision or "–",
        "licence": licence or "not stated by the source",
        **facts,
        "chat template": _TEMPLATES[chat.template],
        "system message": "taken" if chat.system_role else "not taken by the chat template",
    }
    notes = ["Imported by SelfReward; the weights were not trained further."]
    if chat.repaired:
        notes.append("Changed on import: " + "; ".join(chat.repaired) + ".")
    rows = "\n".join(f"| {name} | {value} |" for name, value in told.items())
    paragraphs = "\n\n".join(notes)
    heading = f"# {item.output}: base model"
    return f"---\n{data.to_yaml()}\n---\n\n{heading}\n\n| | |\n| --- | --- |\n{rows}\n\n{paragraphs}\n"
