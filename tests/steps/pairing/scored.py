"""Scored candidates and the rules of their choice, in the few words that tests of the choice use."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from selfreward_steps.contract import PairSettings
from selfreward_steps.pairing.selection import NoPair, Pair, PairRules, ScoredCandidate


def rules(iteration: int = 1, seed: int = 0, **settings: Any) -> PairRules:
    return PairRules.of(PairSettings.model_validate(settings), iteration, seed)


def candidates(*scores: float | Sequence[float], lengths: Sequence[int] = ()) -> list[ScoredCandidate]:
    """One candidate for each entry: its score, or the scores of its judgements; every text is another one."""
    each = [[entry] if isinstance(entry, int | float) else list(entry) for entry in scores]
    texts = [chr(ord("a") + index) * (lengths[index] if lengths else 5) for index in range(len(each))]
    return [ScoredCandidate.of(i, text, one) for i, (text, one) in enumerate(zip(texts, each, strict=True))]


def outcome(choice: Pair | NoPair) -> tuple[int, int | None] | NoPair:
    """Chosen and rejected index, or why there is no pair."""
    if isinstance(choice, NoPair):
        return choice
    return choice.chosen.index, None if choice.rejected is None else choice.rejected.index


def cut(scored: list[ScoredCandidate], *places: int) -> list[ScoredCandidate]:
    """The same, of which these reached the longest completion."""
    return [replace(each, truncated=place in places) for place, each in enumerate(scored)]
