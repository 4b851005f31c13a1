"""Prompts with their candidates and judgements, read together from however many shards they were made in.

Shard i of n has prompts i, i + n, i + 2n, …, so taking one from each in turn gives the prompts' own order whatever n
was. Three files are walked side by side, and that they tell of the same prompts is checked on every row, never
assumed. It must not hold more than one prompt a shard in memory, and must not judge what it reads.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfreward_steps.errors import PermanentError
from selfreward_steps.rows import Candidate, JudgementRow, PromptRow, ResponseRow, read_rows

_OTHER_FILES = 64
"""Files a process has open besides the shards'."""


@dataclass(frozen=True, slots=True)
class JudgedPrompt:
    """One prompt; `scores` has one list a candidate, with None for each judgement that states no score.

    The list of a candidate that the judge's server did not take is empty, and a prompt that was not taken has no
    candidates. `masses` are those of its judgements by token (`judge.mode: logprob`); `flips`, one set a candidate, the
    others against which the order of the two decided (`pairwise`).
    """

    id: str
    prompt: str
    candidates: Sequence[Candidate]
    scores: Sequence[Sequence[float | None]]
    masses: Sequence[float] = ()
    flips: Sequence[frozenset[int]] | None = None

    @property
    def is_refused(self) -> bool:
        """Whether nothing of it was judged, because a server did not take it."""
        return not any(self.scores)


def judged_prompts(prompts: Path, responses: Sequence[Path], judgements: Sequence[Path]) -> Iterator[JudgedPrompt]:
    """Every prompt of the file `prompts`, in its order; `responses` and `judgements` are files, one a shard, in order.

    Raises PermanentError RowsDoNotMatch, naming file and row, where the files do not tell of the same prompts and
    candidates in the same order, and BadRows for what is not JSON.
    """
    if len(responses) != len(judgements):
        raise _mismatch(f"{len(responses)} shards of responses, but {len(judgements)} of judgements")
    _allow_open_files(2 * len(responses) + _OTHER_FILES)
    shards = [_shard(*files) for files in zip(responses, judgements, strict=True)]
    for position, row in enumerate(read_rows(prompts, PromptRow)):
        turn = position % len(shards)
        judged = next(shards[turn], None)
        found = None if judged is None else judged.id
        if judged is None or found != row["id"]:
            raise _mismatch(f"{responses[turn]}: {_told(row['id'])} was to come, found {_told(found)}")
        yield judged
    for turn, shard in enumerate(shards):
        if (extra := next(shard, None)) is not None:
            raise _mismatch(f"{responses[turn]}: {_told(extra.id)} is not in {prompts}, or not at its place")


def _shard(responses: Path, judgements: Path) -> Iterator[JudgedPrompt]:
    rows = read_rows(judgements, JudgementRow)
    for response in read_rows(responses, ResponseRow):
        candidates = response["candidates"]
        judged = [_judgement(rows, judgements, response["id"], index) for index in range(len(candidates))]
        scores = [row["scores"] for row in judged]
        masses = [row["mass"] for row in judged if "mass" in row]
        flips = [frozenset(row.get("flips", ())) for row in judged] if any("flips" in row for row in judged) else None
        yield JudgedPrompt(response["id"], response["prompt"], candidates, scores, masses, flips)
    if (extra := next(rows, None)) is not None:
        found = _told(extra["id"], extra["candidate"])
        raise _mismatch(f"{judgements}: {found} has no such answer in {responses}, or not at its place")


def _judgement(rows: Iterator[JudgementRow], path: Path, prompt_id: str, index: int) -> JudgementRow:
    row = next(rows, None)
    if row is None or row["id"] != prompt_id or row["candidate"] != index:
        found = _told(None) if row is None else _told(row["id"], row["candidate"])
        raise _mismatch(f"{path}: {_told(prompt_id, index)} was to come, found {found}")
    return row


def _told(prompt_id: str | None, candidate: int | None = None) -> str:
    if prompt_id is None:
        return "the end of the file"
    return f"prompt {prompt_id!r}" if candidate is None else f"prompt {prompt_id!r} candidate {candidate}"


def _mismatch(what: str) -> PermanentError:
    return PermanentError("RowsDoNotMatch", f"{what}: delete the iteration's responses and judgements and resume")


def _allow_open_files(count: int) -> None:
    """A run may have 1000 shards, two files each; the usual soft limit is 1024 in all."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
