"""The candidates that a page carries: prompts with answers, critiques, scores and what was chosen.

A run of the paper's size has 40,000 candidates; a page that held them all would not open. So there is a limit, and
beyond it an even sample: the prompts whose ids have the smallest hashes, which is the same sample every time and in
every iteration, and of which any part is even again. Files are streamed; what is held is what the page shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import nsmallest
from statistics import fmean
from typing import Any

from selfreward_steps.contract import artifact_names, mean_score
from selfreward_steps.contract.artifact_names import IterationArtifact

from selfreward.report.artifacts import Artifacts
from selfreward.report.texts.model import CandidateReport, PromptReport, Sample

Row = dict[str, Any]


@dataclass(slots=True)
class _Found:
    """One prompt, as its rows are read from several files."""

    prompt: str
    candidates: list[Row]
    judgements: dict[int, Row] = field(default_factory=dict)
    pairs: list[Row] = field(default_factory=list)


def candidates(artifacts: Artifacts, iterations: int, limit: int) -> Sample[PromptReport]:
    """The prompts of at most about `limit` candidates, evenly from all iterations that have some, in order."""
    answered = {number: _answered(artifacts, number) for number in range(1, iterations + 1)}
    answered = {number: counts for number, counts in answered.items() if counts}
    share = limit // len(answered) if answered else 0
    prompts = [
        prompt
        for number, counts in answered.items()
        for prompt in _iteration(artifacts, number, _chosen(counts, share))
    ]
    return Sample(tuple(prompts), sum(map(len, answered.values())))


def _answered(artifacts: Artifacts, iteration: int) -> dict[str, int]:
    """Candidates by prompt id, of the shards that are committed."""
    return {row["id"]: len(row["candidates"]) for row in _shards(artifacts, iteration, IterationArtifact.RESPONSES)}


def _chosen(counts: Mapping[str, int], candidates: int) -> set[str]:
    """The ids of an even sample of so many candidates; at least one prompt."""
    if sum(counts.values()) <= candidates:
        return set(counts)
    mean = fmean(counts.values())
    return set(nsmallest(max(1, int(candidates / mean)), counts, key=even_order))


def even_order(prompt_id: str) -> str:
    """A key that sorts prompts so that every beginning is an even sample of them."""
    return sha256(prompt_id.encode(errors="replace")).hexdigest()


def _iteration(artifacts: Artifacts, iteration: int, ids: set[str]) -> Iterator[PromptReport]:
    found = {
        row["id"]: _Found(row["prompt"], row["candidates"])
        for row in _shards(artifacts, iteration, IterationArtifact.RESPONSES)
        if row["id"] in ids
    }
    for row in _shards(artifacts, iteration, IterationArtifact.JUDGEMENTS):
        if row["id"] in found:
            found[row["id"]].judgements[row["candidate"]] = row
    pairs = artifact_names.of_iteration(iteration, IterationArtifact.PAIRS)
    for row in artifacts.rows(pairs, "pairs.jsonl"):
        if row["id"] in found:
            found[row["id"]].pairs.append(row)
    is_paired = artifacts.digest(pairs) is not None
    for key in sorted(found):
        yield _prompt(iteration, key, found[key], is_paired=is_paired)


def _shards(artifacts: Artifacts, iteration: int, kind: IterationArtifact) -> Iterator[Row]:
    for artifact in artifacts.committed(artifact_names.of_iteration(iteration, kind)):
        yield from artifacts.rows(artifact, f"{kind}.jsonl")


def _prompt(iteration: int, key: str, found: _Found, *, is_paired: bool) -> PromptReport:
    candidates = [
        _candidate(candidate, found.judgements.get(place, {})) for place, candidate in enumerate(found.candidates)
    ]
    for pair in found.pairs:
        for role in ("chosen", "rejected"):
            if role in pair:
                _give_role(candidates, role, pair)
    paired = bool(found.pairs) if is_paired else None
    return PromptReport(iteration, key, found.prompt, paired, tuple(candidates))


def _candidate(candidate: Row, judgement: Row, role: str = "") -> CandidateReport:
    return CandidateReport(
        text=candidate["text"],
        finish=candidate.get("finish_reason") or "",
        scores=tuple(judgement.get("scores", ())),
        critiques=tuple(judgement.get("critiques", ())),
        role=role,
    )


def _give_role(candidates: list[CandidateReport], role: str, pair: Row) -> None:
    """Mark the candidate that the pair holds. One that is none of this prompt's (M1's answer, with anchored rejected
    answers) is added: the reader must see what the model was taught."""
    text, score = pair[role][-1]["content"], pair.get(f"{role}_score")
    same = [place for place, each in enumerate(candidates) if each.text == text and not each.role]
    if not same:
        candidates.append(CandidateReport(text, "", () if score is None else (score,), (), role))
        return
    # Two candidates may read the same and be scored apart.
    place = min(same, key=lambda place: abs((mean_score(candidates[place].scores) or 0) - (score or 0)))
    old = candidates[place]
    candidates[place] = CandidateReport(old.text, old.finish, old.scores, old.critiques, role)
