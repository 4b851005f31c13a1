"""The payload of a page: the rows of its browser as JSON lines, gzipped, in base64, in pieces.

Base64 holds no character that HTML gives a meaning to, so no text of a model can end the element it stands in. In
pieces, because a page shows the first while it unpacks the rest. Equal excerpts give equal bytes.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from selfreward.report.texts.candidates import even_order
from selfreward.report.texts.model import (
    CandidateReport,
    ComparisonReport,
    Excerpt,
    PromptReport,
    RankedReport,
    Sample,
)

BUDGET: Final = 13_500_000
"""Most bytes of all pieces together; the page around them is small, and the whole stays below 15 MB."""
_EVALUATIONS: Final = 8
"""Comparisons, and the judge's rankings, may each take one part of so many of the budget."""
_PIECE: Final = 1 << 20
"""Bytes of JSON in one piece of the payload."""
_FIRST: Final = 1 << 17
"""Bytes of JSON in the first piece, which holds more than a screen and is there at once."""
_LEVEL: Final = 6
"""gzip's; level 9 makes text 0.2% smaller and takes up to five times as long (measured)."""
_SLACK: Final = 0.97
"""Of a budget that is exceeded; prompts differ in length."""

T = TypeVar("T", PromptReport, ComparisonReport, RankedReport)


@dataclass(frozen=True, slots=True)
class Kind:
    """The rows of one kind, packed, and how many they are."""

    name: str
    """As links and the page's script call it."""
    pieces: tuple[str, ...]
    shown: int
    available: int

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces))


@dataclass(frozen=True, slots=True)
class Payload:
    """Everything that is packed into a page; a kind of which there is nothing is left out."""

    kinds: tuple[Kind, ...]
    candidates: int
    """How many candidates its prompts have."""


def payload(excerpt: Excerpt, budget: int = BUDGET) -> Payload:
    """All rows of the excerpt, or as large an even sample of each kind as the budget allows."""
    comparisons, _ = _packed("comparisons", excerpt.comparisons, _comparison, budget // _EVALUATIONS)
    rankings, _ = _packed("rankings", excerpt.rankings, _ranked, budget // _EVALUATIONS)
    rest = budget - comparisons.size - rankings.size
    candidates, prompts = _packed("candidates", excerpt.candidates, _prompt, rest)
    kinds = tuple(kind for kind in (candidates, comparisons, rankings) if kind.pieces)
    return Payload(kinds, sum(len(prompt.candidates) for prompt in prompts))


def _packed(name: str, sample: Sample[T], line: Callable[[T], list[Any]], budget: int) -> tuple[Kind, Sequence[T]]:
    rows: Sequence[T] = sample.rows
    pieces = tuple(_pieces(map(line, rows)))
    while rows and (size := sum(map(len, pieces))) > budget:
        keep = int(len(rows) * budget / size * _SLACK)
        ids = set(sorted({row.id for row in rows}, key=even_order)[: _ids(rows, keep)])
        rows = [row for row in rows if row.id in ids]
        pieces = tuple(_pieces(map(line, rows)))
    return Kind(name, pieces, len(rows), sample.available), rows


def _ids(rows: Sequence[T], keep: int) -> int:
    """So many ids as stand for about `keep` rows: iterations and models may share ids."""
    return len({row.id for row in rows}) * keep // len(rows)


def _pieces(rows: Iterable[list[Any]]) -> Iterator[str]:
    lines: list[bytes] = []
    size, limit = 0, _FIRST
    for row in rows:
        line = json.dumps(row, separators=(",", ":")).encode()
        lines.append(line)
        size += len(line)
        if size >= limit:
            yield _gzipped(lines)
            lines, size, limit = [], 0, _PIECE
    if lines:
        yield _gzipped(lines)


def _gzipped(lines: Sequence[bytes]) -> str:
    return base64.b64encode(gzip.compress(b"\n".join(lines), _LEVEL, mtime=0)).decode()


def _prompt(prompt: PromptReport) -> list[Any]:
    return [prompt.iteration, prompt.id, prompt.prompt, prompt.paired, [_candidate(each) for each in prompt.candidates]]


def _candidate(candidate: CandidateReport) -> list[Any]:
    return [candidate.text, candidate.finish, _rounded(candidate.scores), candidate.critiques, candidate.role]


def _comparison(row: ComparisonReport) -> list[Any]:
    return [row.model, row.id, row.prompt, row.against, row.answer, row.other, row.outcome]


def _ranked(row: RankedReport) -> list[Any]:
    answers = [[each.rank, each.text, _rounded(each.scores), each.critiques] for each in row.answers]
    return [row.model, row.id, row.prompt, answers]


def _rounded(scores: Iterable[float | None]) -> list[float | None]:
    return [None if score is None else round(score, 4) for score in scores]
