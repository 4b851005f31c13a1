"""The texts that a page carries, as typed data: rows of three kinds, and how many there were to choose from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T", covariant=True)


@dataclass(frozen=True, slots=True)
class CandidateReport:
    """One candidate of a prompt."""

    text: str
    finish: str
    """The server's finish reason; `length` means cut off."""
    scores: tuple[float | None, ...]
    critiques: tuple[str, ...]
    role: str
    """`chosen`, `rejected` or nothing."""


@dataclass(frozen=True, slots=True)
class PromptReport:
    """One prompt with its candidates; `paired` is None while the iteration has no pairs yet."""

    iteration: int
    id: str
    prompt: str
    paired: bool | None
    candidates: tuple[CandidateReport, ...]


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """One held-out prompt, answered by a model and by another, and what the judge said in both orders."""

    model: str
    """`M2`."""
    against: str
    """`M1`, `SFT baseline`, or what the run calls outside answers."""
    id: str
    prompt: str
    answer: str
    other: str
    outcome: int
    """1 won, 0 tied, or the two orders disagree, -1 lost."""


@dataclass(frozen=True, slots=True)
class RankedAnswerReport:
    """One answer of a ranked prompt: people's rank (0 is best, ties allowed) and what the judge said."""

    rank: int
    text: str
    scores: tuple[float | None, ...]
    critiques: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RankedReport:
    """One prompt of the ranked test set, as a model judged its answers."""

    model: str
    id: str
    prompt: str
    answers: tuple[RankedAnswerReport, ...]


@dataclass(frozen=True, slots=True)
class Sample(Generic[T]):
    """Rows of one kind: all that there are so far, or an even sample of them."""

    rows: tuple[T, ...] = ()
    available: int = 0


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Everything that a page lets one read."""

    candidates: Sample[PromptReport] = field(default_factory=Sample)
    comparisons: Sample[ComparisonReport] = field(default_factory=Sample)
    rankings: Sample[RankedReport] = field(default_factory=Sample)
