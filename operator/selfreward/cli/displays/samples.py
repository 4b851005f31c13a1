"""Samples of an iteration: a few prompts with their candidates, what the judge said, and what was chosen.

Read from the artifacts a line at a time, so that it costs the same for a run of any size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from selfreward_steps.contract import artifact_names, mean_score
from selfreward_steps.contract.artifact_names import IterationArtifact
from selfreward_steps.store import Store

_COUNT: Final = 3
_LENGTH: Final = 220


@dataclass(frozen=True, slots=True)
class JudgedCandidate:
    """One candidate with its score, its texts cut to a line each."""

    text: str
    score: float | None
    """Mean of the scores that could be read; None when none could."""
    critique: str
    role: str
    """`chosen`, `rejected` or nothing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The prompt of one preference pair, with all its candidates."""

    prompt: str
    candidates: tuple[JudgedCandidate, ...]


def samples(store: Store, iteration: int, shards: int, count: int = _COUNT) -> list[Sample]:
    """The first `count` pairs of an iteration, with everything that led to them."""
    pairs, responses, judgements = (
        artifact_names.of_iteration(iteration, each)
        for each in (IterationArtifact.PAIRS, IterationArtifact.RESPONSES, IterationArtifact.JUDGEMENTS)
    )
    chosen: dict[str, list[dict[str, Any]]] = {}
    for row in islice(_rows(store, pairs, "pairs.jsonl"), count):
        chosen.setdefault(row["id"], []).append(row)
    answers: dict[str, dict[str, Any]] = {}
    judged: dict[tuple[str, int], dict[str, Any]] = {}
    for shard in artifact_names.shards(responses, shards):
        for row in _rows(store, shard, "responses.jsonl"):
            if row["id"] in chosen:
                answers[row["id"]] = row
    for shard in artifact_names.shards(judgements, shards):
        for row in _rows(store, shard, "judgements.jsonl"):
            if row["id"] in chosen:
                judged[row["id"], row["candidate"]] = row
    return [_sample(rows, answers[key], judged) for key, rows in chosen.items() if key in answers]


def _sample(
    pairs: list[dict[str, Any]], answer: dict[str, Any], judged: dict[tuple[str, int], dict[str, Any]]
) -> Sample:
    roles: dict[str, str] = {
        pair[role][-1]["content"]: role for pair in pairs for role in ("rejected", "chosen") if role in pair
    }
    candidates = [
        _candidate(candidate["text"], judged.get((answer["id"], index), {}), roles)
        for index, candidate in enumerate(answer["candidates"])
    ]
    return Sample(_line(answer["prompt"]), tuple(candidates))


def _candidate(text: str, judgement: dict[str, Any], roles: dict[str, str]) -> JudgedCandidate:
    critiques = judgement.get("critiques", [])
    return JudgedCandidate(
        text=_line(text),
        score=mean_score(judgement.get("scores", [])),
        critique=_line(critiques[0]) if critiques else "",
        # Equal texts count once: the second of two is only a candidate.
        role=roles.pop(text, ""),
    )


def _rows(store: Store, artifact: str, name: str) -> Iterator[dict[str, Any]]:
    with store.open(artifact, name) as lines:
        for line in lines:
            yield json.loads(line)


def _line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LENGTH else text[: _LENGTH - 1] + "…"
