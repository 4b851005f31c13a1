"""The rules evaluated on this machine, as the API server evaluates them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from selfreward.api.rules.rule import Rule
from selfreward.api.rules.spec import SPEC_RULES
from selfreward.api.rules.updates import UPDATE_RULES
from selfreward.api.run import SelfRewardRun
from selfreward.api.schedule import hours_in

RULES: tuple[Rule, ...] = SPEC_RULES + UPDATE_RULES


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a resource breaks."""

    path: str
    message: str


def violations(run: SelfRewardRun, old: SelfRewardRun | None = None) -> list[Violation]:
    """Every rule that `run` breaks; with `old`, as an update of it, transition rules too."""
    if unstorable := list(_unstorable(run.spec.model_dump(by_alias=True), "spec")):
        return unstorable
    stored = None if old is None else _as_stored(old)
    return list(_broken(_as_stored(run), stored))


def _unstorable(value: Any, path: str) -> Iterator[Violation]:
    """Numbers that YAML and Python have and the API server has not: no number at all, without end, beyond 64 bits."""
    match value:
        case dict():
            for name, each in value.items():
                yield from _unstorable(each, f"{path}.{name}")
        case list():
            for place, each in enumerate(value):
                yield from _unstorable(each, f"{path}[{place}]")
        case float() if not math.isfinite(value):
            yield Violation(path, f"{value:g} is no finite number")
        case int() if not -(2**63) <= value < 2**63:
            yield Violation(path, "has more than 64 bits")


def _broken(new: Mapping[str, Any], old: Mapping[str, Any] | None) -> Iterator[Violation]:
    import cel  # 0.2 s that the pure rooms above should not pay for at import

    for rule in RULES:
        if rule.is_transition and old is None:
            continue
        value = _at(new, rule.path)
        if value is None:
            continue
        context = cel.Context(variables={"self": value})
        context.add_function("getHours", hours_in)
        if rule.is_transition:
            context.add_variable("oldSelf", _at(old or {}, rule.path))
        if cel.evaluate(rule.expression, context) is not True:
            yield Violation(".".join(part for part in (rule.path, rule.field) if part), rule.message)


def _as_stored(run: SelfRewardRun) -> dict[str, Any]:
    return run.model_dump(mode="json", by_alias=True, exclude_none=True)


def _at(document: Mapping[str, Any], path: str) -> Any:
    value: Any = document
    for part in path.split(".") if path else []:
        value = value.get(part)
        if value is None:
            return None
    return value
