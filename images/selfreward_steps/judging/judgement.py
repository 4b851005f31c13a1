"""Judgements, and the candidates that they are of: the two shapes that everything about judging shares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class JudgedText:
    """A prompt and the answers to be judged; `id` identifies them for their seeds."""

    id: str
    prompt: str
    answers: Sequence[str]


@dataclass(frozen=True)
class JudgeItem:
    """One request to a judge: a candidate, or two of them to compare, of which `other` stands second.

    `key` identifies it for its seed, `index` is the caller's own.
    """

    key: str
    prompt: str
    response: str
    index: int = 0
    other: str | None = None


@dataclass(frozen=True)
class Judgement:
    """K scores (None: not stated, or out of range) with their critiques; `mass` only in mode `logprob`.

    A candidate that the server did not take has neither, and its words in `refused`. In mode `pairwise` the scores are
    the results against the other candidates, and `flips` the places of those against which the order decided.
    """

    scores: list[float | None]
    critiques: list[str]
    tokens: int | None = None
    mass: float | None = None
    refused: str | None = None
    flips: list[int] | None = None


def order_decided(judged: Iterable[Judgement]) -> tuple[int, int]:
    """In how many comparisons the judge chose the same place in both orders, of how many that state a result."""
    found = [each for each in judged if each.flips is not None]
    return sum(len(each.flips or ()) for each in found), sum(
        score is not None for each in found for score in each.scores
    )
