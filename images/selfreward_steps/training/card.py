"""The model card of a trained model: how it was trained, from what, with which result.

Only what is the same for every attempt and run goes in, no time, name or machine, since the card is part of the
artifact, and equal runs are to have equal artifacts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData, metadata_load

_METHOD = {
    "sft": "supervised fine-tuning, the loss on the answers only",
    "dpo": "direct preference optimisation (arXiv 2305.18290)",
}


def licence_of(model: Path) -> str | None:
    """The licence that the card of an artifact's model states; None when it states none, or there is no card."""
    card = model / "README.md"
    found = (metadata_load(card) or {}).get("license") if card.is_file() else None
    return found if isinstance(found, str) else None


def model_card(
    *,
    output: str,
    step: str,
    method: str,
    iteration: int | None,
    settings: Mapping[str, Any],
    inputs: Mapping[str, tuple[str, str]],
    metrics: Mapping[str, float],
    notes: Mapping[str, str],
    licence: str | None,
) -> str:
    """README.md. `inputs` gives each role's artifact and digest; `method` is a key of the methods known here."""
    round_text = "" if iteration is None else f" in iteration {iteration}"
    data = ModelCardData(
        license=licence,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["selfreward", "trl", method],
    )
    lines = [
        "---",
        data.to_yaml(),
        "---",
        "",
        f"# {output}",
        "",
        f"Trained by step `{step}`{round_text} of Self-Rewarding Language Models (arXiv 2401.10020):",
        f"{_METHOD[method]}. Open it with `AutoModelForCausalLM.from_pretrained`.",
        "",
        "## Made from",
        "",
        *_table(("role", "artifact", "digest"), [(role, name, digest) for role, (name, digest) in inputs.items()]),
        "",
        "## Settings",
        "",
        *_table(("setting", "value"), [(name, _plain(value)) for name, value in settings.items()]),
        *(f"\n{name}: {text}" for name, text in notes.items()),
        "",
        "## Result",
        "",
        *_table(("metric", "value"), [(name, f"{value:.6g}") for name, value in metrics.items()]),
    ]
    return "\n".join(lines) + "\n"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(cells) + " |"

    return [line(head), line(tuple("---" for _ in head)), *(line(row) for row in rows)]


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(each)}" for key, each in value.items())
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
