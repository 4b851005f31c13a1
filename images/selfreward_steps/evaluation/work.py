"""The work of one evaluation: rows read from its inputs, and a range of request numbers for each kind of question.

The ranges are known before the first request, so that a restarted step finds in its journal what was answered. It must
not ask anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, TypedDict, TypeVar

from selfreward_steps.attempt.runtime import StepContext
from selfreward_steps.contract import EvaluateConfig, JudgeSettings
from selfreward_steps.errors import PermanentError
from selfreward_steps.evaluation.overlap import seen_of
from selfreward_steps.judging.judgement import JudgeItem
from selfreward_steps.judging.judgements import judge_items, ranked_texts
from selfreward_steps.measuring.overlap import asked_in, comparables
from selfreward_steps.rows import (
    InstructionRow,
    PromptRow,
    QuestionRow,
    RankingRow,
    first_exchange,
    first_question,
    read_rows,
)

Context = StepContext[EvaluateConfig]
R = TypeVar("R", RankingRow, PromptRow, QuestionRow)


class AnswerRow(TypedDict):
    """`answers.jsonl`: a held-out prompt and what the model says."""

    id: str
    prompt: str
    answer: str


class SeenRow(TypedDict):
    """`seen.jsonl`: a row that is not asked, since training has seen its prompt, and what it was to measure."""

    id: str
    prompt: str
    of: str


class Kind(StrEnum):
    """The requests, in the order they are sent."""

    JUDGEMENT = "judgement"
    """The evaluated model judges the answers of the ranked test set."""
    ANSWER = "answer"
    """The evaluated model answers the held-out prompts."""
    SAFETY_ANSWER = "safety-answer"
    """The evaluated model answers the safety prompts."""
    TURN = "turn"
    """The evaluated model answers the turns of MT-Bench's questions."""
    AGAINST = "against"
    """The evaluated model's answers are compared with M1's."""
    PREVIOUS = "previous"
    """They are compared with those of the model before it."""
    OUTSIDE = "outside"
    """They are compared with another system's."""
    BASELINE = "baseline"
    """M1's are compared with those of the SFT baseline."""
    SAFETY = "safety"
    """The safety of the evaluated model's answers is judged."""


OPPONENTS: Final = (Kind.AGAINST, Kind.PREVIOUS, Kind.OUTSIDE, Kind.BASELINE)


@dataclass(frozen=True)
class Work:
    """The rows of an evaluation. `given` and `given_safety` are answers that an earlier part has measured."""

    ranked: list[RankingRow]
    held_out: list[PromptRow]
    safety: list[PromptRow]
    questions: list[QuestionRow]
    opponents: Mapping[Kind, Mapping[str, str]]
    """The opponents' answers by prompt id."""
    judges_safety: bool
    seen: Sequence[SeenRow] = ()
    """What is not asked, since training has seen it."""
    judge: JudgeSettings = field(default_factory=JudgeSettings)
    """How the ranked answers are judged."""
    given: Mapping[str, str] | None = None
    given_safety: Mapping[str, str] | None = None
    items: Sequence[JudgeItem] = field(init=False)
    """Every request about the ranked answers."""
    ranges: Mapping[Kind, range] = field(init=False)

    def __post_init__(self) -> None:
        measures = self.given is None
        object.__setattr__(self, "items", list(judge_items(self.judge, ranked_texts(self.ranked))))
        sizes: dict[Kind, int] = {
            Kind.JUDGEMENT: len(self.items),
            Kind.ANSWER: len(self.held_out) if measures else 0,
            Kind.SAFETY_ANSWER: len(self.safety) if measures else 0,
            Kind.TURN: sum(len(row["turns"]) for row in self.questions),
            **{kind: 2 * len(self.compared(kind)) for kind in OPPONENTS},
            Kind.SAFETY: len(self.safety) if self.judges_safety else 0,
        }
        ends = list(accumulate(sizes.values()))
        ranges = {kind: range(end - size, end) for (kind, size), end in zip(sizes.items(), ends, strict=True)}
        object.__setattr__(self, "ranges", ranges)

    @property
    def total(self) -> int:
        return self.ranges[Kind.SAFETY].stop

    def names(self) -> Iterator[tuple[int, str]]:
        """Every request's key, and what it is in words: `answer/ID`, `judgement/ID/0`, …"""
        rows: dict[Kind, Iterable[str]] = {
            Kind.JUDGEMENT: (item.key for item in self.items),
            Kind.ANSWER: (row["id"] for row in self.held_out),
            Kind.SAFETY_ANSWER: (row["id"] for row in self.safety),
            Kind.TURN: (f"{row['id']}/{turn}" for row in self.questions for turn in range(len(row["turns"]))),
            **{kind: (row["id"] for row in self.compared(kind) for _ in range(2)) for kind in OPPONENTS},
            Kind.SAFETY: (row["id"] for row in self.safety),
        }
        for kind, keys in self.ranges.items():
            for key, name in zip(keys, rows[kind], strict=False):
                yield key, f"{kind}/{name}"

    def compared(self, opponent: Kind) -> list[PromptRow]:
        """The held-out prompts that the opponent has answered."""
        return [row for row in self.held_out if row["id"] in self.opponents.get(opponent, {})]


def read_work(context: Context) -> Work:
    """Everything that is to be asked; raises PermanentError NoOutsideAnswers."""
    compares = context.config.compares
    if "measured" in context.config.inputs:
        folder = context.fetch("measured")
        rows = list(read_rows(folder / "answers.jsonl", AnswerRow))
        safety = list(_optional(folder / "safety.jsonl", AnswerRow))
        held_out: list[PromptRow] = [{"id": row["id"], "prompt": row["prompt"]} for row in rows]
        return Work(
            ranked=[],
            held_out=held_out,
            safety=[{"id": row["id"], "prompt": row["prompt"]} for row in safety],
            questions=[],
            opponents=_opponents(context, held_out),
            judges_safety=True,
            given={row["id"]: row["answer"] for row in rows},
            given_safety={row["id"]: row["answer"] for row in safety},
        )
    found = _rows(context)
    held_out = found.held_out[: context.config.settings.prompts]
    return Work(
        ranked=found.ranked,
        held_out=held_out,
        safety=found.safety,
        questions=found.questions,
        opponents=_opponents(context, held_out) if compares else {},
        judges_safety=compares,
        seen=found.seen,
        judge=context.config.judge,
    )


def ranked_test_set(context: Context) -> list[RankingRow]:
    """The ranked prompts that no step trained on."""
    if "eft" not in context.config.inputs:
        return []
    return list(read_rows(context.fetch("eft") / "test.jsonl", RankingRow))


@dataclass
class _Rows:
    """What a model is asked, by what it measures, and what of it is left out."""

    ranked: list[RankingRow]
    held_out: list[PromptRow]
    safety: list[PromptRow]
    questions: list[QuestionRow]
    seen: list[SeenRow] = field(default_factory=list)

    def unseen(
        self, of: Kind, rows: list[R], prompts: Callable[[R], set[str]], is_seen: Callable[[set[str]], bool]
    ) -> list[R]:
        """Those of `rows` that training has not seen; the others are noted."""
        kept = []
        for row in rows:
            if is_seen(prompts(row)):
                self.seen.append({"id": row["id"], "prompt": row["prompt"], "of": str(of)})
            else:
                kept.append(row)
        return kept


def _rows(context: Context) -> _Rows:
    """The judge's test set and what the user brings; without prompts among that, the test set's and those of
    `prompts.source` are answered. Nothing of it that training has seen."""
    own: list[PromptRow] = list(_optional(_own(context, "held_out"), PromptRow))
    safety = list(_optional(_own(context, "safety_prompts"), PromptRow))
    questions = list(_optional(_own(context, "mt_bench"), QuestionRow))
    ranked = ranked_test_set(context)
    held_out = own or _fallback(context, ranked)
    rows = _Rows(ranked, held_out, safety, questions)
    asked = {prompt for each in (held_out, safety, questions) for row in each for prompt in _prompt(row)}
    seen = seen_of(context, asked.union(*map(asked_in, ranked)), ranked)
    rows.ranked = rows.unseen(Kind.JUDGEMENT, ranked, asked_in, seen.has_learnt)
    rows.held_out = rows.unseen(Kind.ANSWER, held_out, _prompt, seen.has_met if own else seen.has_learnt)
    rows.safety = rows.unseen(Kind.SAFETY_ANSWER, safety, _prompt, seen.has_met)
    rows.questions = rows.unseen(Kind.TURN, questions, _prompt, seen.has_met)
    return rows


def _prompt(row: Mapping[str, Any]) -> set[str]:
    return comparables([row["prompt"]])


def _fallback(context: Context, ranked: Sequence[RankingRow]) -> list[PromptRow]:
    """Prompts of the run's own data that no step trains on."""
    rows: list[PromptRow] = [{"id": row["id"], "prompt": first_question(row)} for row in ranked]
    if "seed" in context.config.inputs:
        rows += _optional(context.fetch("seed") / "prompts.jsonl", PromptRow)
    return rows


def _opponents(context: Context, held_out: Iterable[PromptRow]) -> dict[Kind, Mapping[str, str]]:
    found: dict[Kind, Mapping[str, str]] = {}
    for kind in (Kind.AGAINST, Kind.PREVIOUS, Kind.BASELINE):
        if kind.value in context.config.inputs:
            rows = read_rows(context.fetch(kind.value) / "answers.jsonl", AnswerRow)
            found[kind] = {row["id"]: row["answer"] for row in rows}
    outside = {_normal(prompt): answer for prompt, answer in _outside(context)}
    if outside:
        found[Kind.OUTSIDE] = {
            row["id"]: outside[_normal(row["prompt"])] for row in held_out if _normal(row["prompt"]) in outside
        }
        if not found[Kind.OUTSIDE]:
            raise PermanentError(
                "NoOutsideAnswers",
                f"evaluation.outside: none of its {len(outside)} answers is to a held-out prompt: give the prompts "
                "that they answer as evaluation.source, and enough of evaluation.prompts",
            )
    return found


def _outside(context: Context) -> Iterator[tuple[str, str]]:
    for row in _optional(_own(context, "outside"), InstructionRow):
        *asked, answer = first_exchange(row["messages"])
        yield "\n\n".join(message["content"] for message in asked), answer["content"]


def _own(context: Context, name: str) -> Path | None:
    """A file of what the user brought to the evaluation; None when nothing was."""
    return context.fetch("data") / f"{name}.jsonl" if "data" in context.config.inputs else None


def _optional(path: Path | None, kind: type[Any]) -> Iterator[Any]:
    return read_rows(path, kind) if path is not None and path.exists() else iter(())


def _normal(prompt: str) -> str:
    return " ".join(prompt.split())
