"""The evidence about a run that goes into a bundle, as it was found: secrets are still in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Evidence:
    """What was found of a run, by name of the file that it becomes; `absent` says what could not be read, and why."""

    documents: dict[str, Any] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
