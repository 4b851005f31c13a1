"""The imported text of a user's own judge template, read where a step judges or teaches judging."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from selfreward_steps.contract import JudgeSettings

ROLE: Final = "template"
"""Role of the step's input that holds the template's text."""
FILE: Final = "template.txt"
"""In the artifact that the import makes of the text."""


def with_own_template(settings: JudgeSettings, inputs: Collection[str], fetch: Callable[[str], Path]) -> JudgeSettings:
    """`settings` with the imported text, when the step has one among its inputs; else as they are."""
    if ROLE not in inputs or settings.custom_template is None:
        return settings
    text = (fetch(ROLE) / FILE).read_text(encoding="utf-8")
    return settings.model_copy(update={"custom_template": settings.custom_template.model_copy(update={"text": text})})
