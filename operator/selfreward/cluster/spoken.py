"""What pods say and manifests hold, made fit for a status: whoever runs an image or writes to a store may say anything.

A status is JSON of limited size, which people print on terminals. What an honest step says passes unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError
from selfreward_steps.contract import MAX_RESULT_BYTES, Progress, StepResult

from selfreward.api.printable import printable

_LARGEST: Final = 2**53
"""Largest count that JSON's readers agree on."""
_LONGEST_NAME: Final = 128
_LONGEST_TEXT: Final = 2048
_NUMBER_BYTES: Final = 24


def kept_numbers(numbers: Mapping[str, object]) -> dict[str, float]:
    """The numbers that a status can hold, by name: finite ones, no more of them than a step's result has room for."""
    kept: dict[str, float] = {}
    room = MAX_RESULT_BYTES
    for name, value in numbers.items():
        if len(name) > _LONGEST_NAME or not name.isprintable() or not isinstance(value, int | float):
            continue
        try:
            number = float(value)
        except OverflowError:
            continue
        room -= len(name.encode()) + _NUMBER_BYTES
        if room < 0:
            break
        if math.isfinite(number):
            kept[name] = number
    return kept


def kept_text(text: str) -> str:
    """The text without commands to a terminal, and no longer than a result's message is."""
    return printable(text)[:_LONGEST_TEXT]


def progress_in(line: str | bytes) -> Progress | None:
    """The progress that a line of a log tells; None if it tells none, or nothing that can be written down."""
    if len(line) > MAX_RESULT_BYTES:
        return None
    try:
        told = Progress.model_validate_json(line)
    except ValidationError:
        return None
    if max(told.done, told.total or 0) > _LARGEST:
        return None
    return told.model_copy(update={"unit": kept_text(told.unit), "metrics": kept_numbers(told.metrics)})


def result_in(text: str | bytes) -> StepResult | None:
    """The result that a text is; None if it is none."""
    try:
        told = StepResult.model_validate_json(text)
    except ValidationError:
        return None
    kept = {"reason": kept_text(told.reason), "message": kept_text(told.message)}
    return told.model_copy(update={**kept, "metrics": kept_numbers(told.metrics)})
