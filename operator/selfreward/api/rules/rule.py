"""One rule: an expression at a place of the resource, and what to say where it does not hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL validation at one place of the resource."""

    path: str
    """Dotted path of the object that `self` stands for; empty for the whole resource."""
    expression: str
    message: str
    field: str = ""
    """The field to name to the user, relative to `path`."""

    @property
    def is_transition(self) -> bool:
        """Whether the rule compares with the stored object."""
        return "oldSelf" in self.expression
