"""Step eft: evaluation fine-tuning data (paper section 2.1), and the test set that the judge never learns from.

Which judgements are kept is decided in :mod:`selfreward_steps.judging.agreement`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from selfreward_steps.attempt.runtime import Output, StepContext, StepOutcome
from selfreward_steps.client.answered import FinishedRows
from selfreward_steps.client.client import ServingClient
from selfreward_steps.client.refused_rows import write_refused
from selfreward_steps.contract import EftConfig, EftMode, JudgeMode, JudgeSettings
from selfreward_steps.errors import PermanentError
from selfreward_steps.judging.agreement import (
    agreeing_rows,
    balanced,
    comparison_rows,
    means_agree,
    rank_rows,
    score_histogram,
    split_rankings,
)
from selfreward_steps.judging.custom_template import with_own_template
from selfreward_steps.judging.judgement import Judgement
from selfreward_steps.judging.judgements import judge_items, judge_missing, ranked_texts
from selfreward_steps.judging.templates import JudgeTemplate, judge_template
from selfreward_steps.measuring.overlap import questions_in
from selfreward_steps.rows import EftRow, InstructionRow, RankingRow, RefusedRow, read_rows, write_json, write_rows

Context = StepContext[EftConfig]


@dataclass(frozen=True)
class _Made:
    """Examples made from rankings, with how many judgements there were and how many of them parsed."""

    rows: list[EftRow]
    agreeing_prompts: int = 0
    agreeing_by_mean_only: int = 0
    """Prompts whose mean scores agree with people, and no choice of single judgements does."""
    judgements: int = 0
    parsed: int = 0
    refused: Sequence[RefusedRow] = ()
    """Answers that the server did not take to judge."""
    traffic: Mapping[str, float] = field(default_factory=dict)


def run(context: Context) -> StepOutcome:
    """Commits `train.jsonl` (EFT examples), `test.jsonl` (ranked prompts) and `statistics.json`.

    Answers that the server does not take to judge stand in `refused.jsonl`. Raises PermanentError NoEftExamples when
    nothing is left to learn judging from, and ServingRejected when the server takes none.
    """
    seed, settings = context.fetch("seed"), context.config.settings
    rankings: list[RankingRow] = _optional(seed / "rankings.jsonl", RankingRow)
    given: list[EftRow] = _optional(seed / "eft.jsonl", EftRow)
    split = split_rankings(
        rankings,
        # Nothing is learnt from rankings when the examples are given, so all of them can test the judge.
        test_fraction=1.0 if settings.mode is EftMode.GIVEN else settings.test_fraction,
        trained_prompts={row["prompt"] for row in given} | set(_instructions(seed / "instructions.jsonl")),
        seed=context.seed,
    )
    made = _make(context, split.train)
    kept = balanced(made.rows, max_share=settings.max_score_share, seed=context.seed)
    if not given and not kept:
        raise _nothing_left(settings.mode, split.train, made)
    statistics: dict[str, Any] = {
        "examples": len(given) + len(kept),
        "given": len(given),
        "made": len(made.rows),
        "dropped_to_balance": len(made.rows) - len(kept),
        "train_prompts": len(split.train),
        "agreeing_prompts": made.agreeing_prompts,
        "agreeing_by_mean_only": made.agreeing_by_mean_only,
        "test_prompts": len(split.test),
        "test_prompts_left_out": split.shared,
        "judgements": made.judgements,
        "parsed": made.parsed,
        **({"refused": len(made.refused)} if made.refused else {}),
    }
    folder = context.scratch / "output"
    folder.mkdir(exist_ok=True)
    write_rows(folder / "train.jsonl", [*given, *kept])
    write_rows(folder / "test.jsonl", split.test)
    write_refused(folder, made.refused)
    write_json(
        folder / "statistics.json", statistics | {"scores": score_histogram(r["score"] for r in [*given, *kept])}
    )
    journal = context.store.journal(context.output, inputs_digest=context.inputs_digest)
    return StepOutcome([Output(context.output, folder)], {**statistics, **made.traffic}, after_commit=[journal.discard])


def _make(context: Context, rows: Sequence[RankingRow]) -> _Made:
    judge = _judge(context)
    scores = judge_template(judge).scores
    match context.config.settings.mode:
        case EftMode.GIVEN:
            return _Made([])
        case EftMode.DIRECT:
            compares = judge.mode is JudgeMode.PAIRWISE
            made = [comparison_rows(row) if compares else rank_rows(row, *scores) for row in rows]
            return _Made([example for examples in made for example in examples], sum(map(bool, made)))
        case EftMode.FILTERED:
            return _filtered(context, rows)


def _filtered(context: Context, rows: Sequence[RankingRow]) -> _Made:
    """What the SFT baseline judged as people did."""
    config = context.config
    if not rows:
        return _Made([])
    if config.serving is None:
        raise PermanentError("BadConfiguration", "serving: is missing, but eft.mode filtered needs the SFT baseline's")
    client = ServingClient(config.serving, alive=context.progress.alive)
    items = list(judge_items(_judge(context), ranked_texts(rows)))
    journal = context.store.journal(context.output, inputs_digest=context.inputs_digest)
    with FinishedRows(journal, context.scratch / "spool", len(items)) as finished:

        def tell() -> None:
            context.progress.update(finished.count, finished.total, "answers", **client.traffic.metrics())

        tell()
        asyncio.run(judge_missing(client, _judge(context), items, context.seed, finished, tell))
        client.require_an_answer(known=finished.recovered)
        made = _chosen(rows, (Judgement(**row) for row in finished.rows()), judge_template(_judge(context)))
    return replace(made, traffic=client.traffic.metrics())


def _judge(context: Context) -> JudgeSettings:
    return with_own_template(context.config.judge, context.config.inputs, context.fetch)


def _chosen(rows: Sequence[RankingRow], judgements: Iterator[Judgement], template: JudgeTemplate) -> _Made:
    made: list[EftRow] = []
    refused: list[RefusedRow] = []
    agreeing = by_mean_only = count = parsed = 0
    for row in rows:
        judged = list(islice(judgements, len(row["answers"])))
        refused += refused_answers(row, judged)
        examples: list[EftRow] = []
        if means_agree(row, [each.scores for each in judged]):
            # One token learns a whole number: an expected score of 3.4 and one of 2.9 would both be taught as 3.
            scores = [template.written(each.scores) for each in judged]
            examples = agreeing_rows(row, scores, [each.critiques for each in judged], template.read)
            by_mean_only += not examples
        made += examples
        agreeing += bool(examples)
        count += sum(len(each.scores) for each in judged)
        parsed += sum(score is not None for each in judged for score in each.scores)
    return _Made(made, agreeing, by_mean_only, count, parsed, refused)


def refused_answers(row: RankingRow, judged: Sequence[Judgement]) -> Iterator[RefusedRow]:
    """The prompt's answers that the server did not take to judge."""
    for place, judgement in enumerate(judged):
        if judgement.refused is not None:
            yield {"id": f"{row['id']}/{place}", "why": judgement.refused}


def _instructions(path: Path) -> Iterator[str]:
    for row in _optional(path, InstructionRow):
        yield from questions_in(row["messages"])


def _optional(path: Path, kind: type[Any]) -> list[Any]:
    """The user's data of one kind; they are small enough to hold, and may not have been given."""
    return list(read_rows(path, kind)) if path.exists() else []


def _nothing_left(mode: EftMode, rows: Sequence[RankingRow], made: _Made) -> PermanentError:
    seen = f"{len(rows)} ranked prompts gave {made.judgements} judgements, of which {made.parsed} stated a score"
    if mode is not EftMode.FILTERED:
        seen = f"{len(rows)} ranked prompts gave no example"
    return PermanentError(
        "NoEftExamples",
        f"seedData.rankings: {seen} and {made.agreeing_prompts} prompts agreed with people: give seedData.eft, more "
        "rankings, or eft.mode direct for a model that cannot judge yet",
    )
