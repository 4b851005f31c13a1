"""The shapes of the rows that steps hand to each other, and how they are read and written: JSONL, one at a time.

Every dataset of the run is one of these, so that a reader needs no other file to know what a field means. This
module must not hold a dataset in memory and must not import anything heavy: judging steps load it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict, TypeVar, cast

from selfreward_steps.errors import PermanentError


class Message(TypedDict):
    """One turn of a chat: who says it, and what."""

    role: str
    content: str


class InstructionRow(TypedDict):
    """`seed/instructions.jsonl`: an instruction with its answer, the last message (IFT data)."""

    id: str
    messages: list[Message]


class RankedAnswer(TypedDict):
    """One answer that people ranked; 0 is the best, ties are allowed."""

    content: str
    rank: int


class RankingRow(TypedDict):
    """`seed/rankings.jsonl` and `eft/test.jsonl`: a prompt with answers that people ranked.

    Where more than one question was asked, `messages` are all turns before the answers, and `prompt` is their text.
    """

    id: str
    prompt: str
    messages: NotRequired[list[Message]]
    answers: list[RankedAnswer]


def first_exchange(turns: Sequence[Message]) -> list[Message]:
    """The turns up to the first answer: what can be asked with nothing before it, and the answer if there is one."""
    first = next((place for place, turn in enumerate(turns) if turn["role"] == "user"), len(turns))
    return list(turns[: first + 2])


def first_question(row: RankingRow) -> str:
    """The user's first message with the system's at its head."""
    if "messages" not in row:
        return row["prompt"]
    return "\n\n".join(turn["content"] for turn in first_exchange(row["messages"]) if turn["role"] != "assistant")


class EftRow(TypedDict):
    """`seed/eft.jsonl` and `eft/train.jsonl`: a judgement to learn from. `critique` is empty for rank-made scores.

    With `judge.mode: pairwise` it is a comparison with `other`, which stands second, and the score is 1 or 0.
    """

    id: str
    prompt: str
    response: str
    other: NotRequired[str]
    critique: str
    score: float


class PromptRow(TypedDict):
    """`prompts.jsonl`: a new prompt, for which answers are written."""

    id: str
    prompt: str


class QuestionRow(TypedDict):
    """`mt_bench.jsonl`: a question of several turns; `prompt` is the first of them."""

    id: str
    prompt: str
    turns: list[str]


class Candidate(TypedDict):
    """One sampled answer; `finish_reason` is the server's (`stop`, `length`)."""

    text: str
    finish_reason: str


def is_truncated(candidate: Candidate) -> bool:
    """Whether the answer reached the longest completion rather than its end."""
    return candidate["finish_reason"] == "length"


class ResponseRow(TypedDict):
    """`responses.jsonl`: a prompt's N candidates; `tokens` is what the server counted for all of them.

    `refused` has the server's words where it did not take the prompt, which then has no candidates.
    """

    id: str
    prompt: str
    candidates: list[Candidate]
    tokens: int | None
    refused: NotRequired[str]


class JudgementRow(TypedDict):
    """`judgements.jsonl`: one candidate's K judgements, by its place in the response row.

    A score is null where the critique states none in range. `mass` is the probability that a logprob judgement
    gave to score tokens. `refused` has the server's words where it did not take the candidate, which then has no
    judgements.

    With `judge.mode: pairwise` there is a score for each other candidate of the prompt, in their order: 1 where this
    one beats it, 0 where it loses, ½ for a tie; the critiques are what was said with this one in the first place.
    `flips` are the places of those against which the judge chose the same place in both orders.
    """

    id: str
    candidate: int
    scores: list[float | None]
    critiques: list[str]
    flips: NotRequired[list[int]]
    mass: NotRequired[float]
    tokens: int | None
    refused: NotRequired[str]


class RefusedRow(TypedDict):
    """`refused.jsonl`: a row that the server did not take, and its words; the file is there when it has one."""

    id: str
    why: str


class JudgedAnswer(TypedDict):
    """One candidate of a pair's prompt and its mean score."""

    content: str
    score: float


class PairRow(TypedDict):
    """`pairs.jsonl`: a preference pair in TRL's conversational form; with `positive-only` a chosen answer alone.

    `rejected_anchored` is there with `preferences.rejected: anchored` and says whether the rejected answer is M1's;
    `candidates`, all of the prompt that have a score, where training asks how far the judge is consistent.
    """

    id: str
    prompt: list[Message]
    chosen: list[Message]
    rejected: NotRequired[list[Message]]
    chosen_score: float
    rejected_score: NotRequired[float]
    rejected_anchored: NotRequired[bool]
    candidates: NotRequired[list[JudgedAnswer]]


Row = TypeVar("Row", bound=Mapping[str, Any])


def read_rows(path: Path, kind: type[Row]) -> Iterator[Row]:
    """The rows of `path`, one at a time; `kind` is what the caller knows them to be, and is not checked.

    They come out of a verified artifact, so only what breaks reading is an error: PermanentError BadRows with file
    and line.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.isspace():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise PermanentError(
                    "BadRows", f"{path}, line {number}: not JSON ({error}): delete the artifact and run its step again"
                ) from error
            yield cast(Row, row)


def count_rows(path: Path) -> int:
    """How many rows `read_rows` will give, without parsing them."""
    with path.open("rb") as lines:
        return sum(not line.isspace() for line in lines)


def encode(row: Mapping[str, Any]) -> bytes:
    """One line of JSONL. Raises ValueError for NaN, infinity and lone surrogates, which no reader would accept."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write `rows` as they come; returns how many."""
    count = 0
    with path.open("wb") as file:
        for row in rows:
            file.write(encode(row))
            count += 1
    return count


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """One JSON document for people and programs, such as `statistics.json`."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
