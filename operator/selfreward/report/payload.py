"""The payload of a page: its browser's prompts as JSON lines, gzipped, in base64, in pieces.

Base64 holds no character that HTML gives a meaning to, so no text of a model can end the element it stands in. In
pieces, because a page shows the first while it unpacks the rest. Equal excerpts give equal bytes.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from selfreward.report.excerpt import even_order
from selfreward.report.model import CandidateReport, Excerpt, PromptReport

BUDGET: Final = 13_500_000
"""Most bytes of all pieces together; the page around them is small, and the whole stays below 15 MB."""
_PIECE: Final = 1 << 20
"""Bytes of JSON in one piece of the payload."""
_FIRST: Final = 1 << 17
"""Bytes of JSON in the first piece, which holds more than a screen and is there at once."""
_LEVEL: Final = 6
"""gzip's; level 9 makes text 0.2% smaller and takes up to five times as long (measured)."""
_SLACK: Final = 0.97
"""Of a budget that is exceeded; prompts differ in length."""


@dataclass(frozen=True, slots=True)
class Payload:
    """The prompts that go into a page, packed, and how many they are."""

    pieces: tuple[str, ...]
    shown: int
    available: int
    candidates: int


def payload(excerpt: Excerpt, budget: int = BUDGET) -> Payload:
    """All prompts of the excerpt, or as large an even sample of them as the budget allows."""
    prompts: Sequence[PromptReport] = excerpt.prompts
    pieces = tuple(_pieces(prompts))
    while prompts and (size := sum(map(len, pieces))) > budget:
        keep = int(len(prompts) * budget / size * _SLACK)
        ids = set(sorted({prompt.id for prompt in prompts}, key=even_order)[: _ids(prompts, keep)])
        prompts = [prompt for prompt in prompts if prompt.id in ids]
        pieces = tuple(_pieces(prompts))
    return Payload(pieces, len(prompts), excerpt.available, sum(len(prompt.candidates) for prompt in prompts))


def _ids(prompts: Sequence[PromptReport], keep: int) -> int:
    """So many ids as stand for about `keep` prompts: iterations may share ids."""
    return len({prompt.id for prompt in prompts}) * keep // len(prompts)


def _pieces(prompts: Iterable[PromptReport]) -> Iterator[str]:
    lines: list[bytes] = []
    size, limit = 0, _FIRST
    for prompt in prompts:
        line = json.dumps(_row(prompt), separators=(",", ":")).encode()
        lines.append(line)
        size += len(line)
        if size >= limit:
            yield _packed(lines)
            lines, size, limit = [], 0, _PIECE
    if lines:
        yield _packed(lines)


def _packed(lines: Sequence[bytes]) -> str:
    return base64.b64encode(gzip.compress(b"\n".join(lines), _LEVEL, mtime=0)).decode()


def _row(prompt: PromptReport) -> list[Any]:
    return [prompt.iteration, prompt.id, prompt.prompt, prompt.paired, [_candidate(each) for each in prompt.candidates]]


def _candidate(candidate: CandidateReport) -> list[Any]:
    scores = [None if score is None else round(score, 4) for score in candidate.scores]
    return [candidate.text, candidate.finish, scores, candidate.critiques, candidate.role]
