"""What an evaluation would ask that training has seen already; it is left out, since it would measure memory.

Training has seen what models learnt from, the instructions, judging examples and prompts of the rounds before; and what
the prompts' generator was shown or kept away from, the user's other prompts. Those are no training data, so that they
count for what the user brings to the evaluation only: without that, they are what a model is evaluated on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from selfreward_steps.attempt.runtime import StepContext
from selfreward_steps.contract import EvaluateConfig
from selfreward_steps.measuring.overlap import asked_in, comparables, questions_in
from selfreward_steps.rows import EftRow, InstructionRow, PromptRow, RankingRow, read_rows

_SEED_ROLES: Final = ("seed", "seen")
"""Roles of the user's training data: the second where no prompt of them is held out."""


@dataclass(frozen=True)
class Seen:
    """Those of the evaluation's prompts that training has seen, as they are compared."""

    learnt: frozenset[str] = frozenset()
    shown: frozenset[str] = frozenset()

    def has_learnt(self, prompts: set[str]) -> bool:
        """Whether a model has learnt an answer to one of `prompts`."""
        return not self.learnt.isdisjoint(prompts)

    def has_met(self, prompts: set[str]) -> bool:
        """Whether one of `prompts` is anywhere in the run's own data."""
        return self.has_learnt(prompts) or not self.shown.isdisjoint(prompts)


def seen_of(context: StepContext[EvaluateConfig], asked: set[str], ranked: Iterable[RankingRow]) -> Seen:
    """Which of the prompts `asked` training has seen; `ranked` is the judge's test set, which it has not."""
    tested = {prompt for row in ranked for prompt in asked_in(row)}
    return Seen(
        learnt=frozenset(asked.intersection(_comparable(_learnt(context)))),
        shown=frozenset(asked.intersection(set(_comparable(_shown(context))) - tested)),
    )


def _comparable(prompts: Iterable[Iterable[str]]) -> Iterator[str]:
    for each in prompts:
        yield from comparables(each)


def _learnt(context: StepContext[EvaluateConfig]) -> Iterator[Iterable[str]]:
    roles = context.config.inputs
    for role in _SEED_ROLES:
        if role in roles:
            yield from _each(context.fetch(role) / "instructions.jsonl", InstructionRow, _questions)
            yield from _each(context.fetch(role) / "eft.jsonl", EftRow, _prompt)
    if "eft" in roles:
        yield from _each(context.fetch("eft") / "train.jsonl", EftRow, _prompt)
    for role in roles:
        if role.startswith("prompts-"):
            yield from _each(context.fetch(role) / "prompts.jsonl", PromptRow, _prompt)


def _shown(context: StepContext[EvaluateConfig]) -> Iterator[Iterable[str]]:
    if "seen" in context.config.inputs:
        seed = context.fetch("seen")
        yield from _each(seed / "prompts.jsonl", PromptRow, _prompt)
        yield from _each(seed / "rankings.jsonl", RankingRow, asked_in)


def _each(path: Path, kind: type[Any], texts: Callable[[Any], Iterable[str]]) -> Iterator[Iterable[str]]:
    if path.exists():
        yield from map(texts, read_rows(path, kind))


def _questions(row: InstructionRow) -> Iterator[str]:
    return questions_in(row["messages"])


def _prompt(row: EftRow | PromptRow) -> tuple[str]:
    return (row["prompt"],)
