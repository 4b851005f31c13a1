"""Step evaluate: what one model is worth, as a judge and as an assistant (paper section 3.2).

As a judge it is measured on ranked prompts that no step trained on; as an assistant it answers held-out prompts, and
those of a later model are compared with M1's in both orders, a disagreement being a tie.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict

from selfreward_steps.chat import ChatRequest, seed_for
from selfreward_steps.comparing import comparison_message, outcome, stated_verdict
from selfreward_steps.contract import EvaluateConfig
from selfreward_steps.eft import ranked_items
from selfreward_steps.finished import FinishedRows
from selfreward_steps.judge_metrics import RankedScores, Rate, judge_quality, win_rates
from selfreward_steps.judging import Judgement, judge_missing
from selfreward_steps.rows import PromptRow, RankingRow, read_rows, write_json, write_rows
from selfreward_steps.runtime import Output, StepContext, StepOutcome
from selfreward_steps.scoring import mean_score
from selfreward_steps.serving_client import InOrder, ServingClient
from selfreward_steps.templates import judge_template

Context = StepContext[EvaluateConfig]


class AnswerRow(TypedDict):
    """`answers.jsonl`: a held-out prompt and what the model says."""

    id: str
    prompt: str
    answer: str


@dataclass(frozen=True)
class _Work:
    """What is asked of the server; each kind has a range of indices of its own in the finished rows."""

    ranked: list[RankingRow]
    held_out: list[PromptRow]
    others: Mapping[str, str]
    """M1's answers by prompt id; empty when M1 itself is evaluated."""

    @property
    def judgements(self) -> int:
        return sum(len(row["answers"]) for row in self.ranked)

    @property
    def compared(self) -> list[PromptRow]:
        return [row for row in self.held_out if row["id"] in self.others]

    @property
    def total(self) -> int:
        return self.judgements + len(self.held_out) + 2 * len(self.compared)


def run(context: Context) -> StepOutcome:
    """Commits `metrics.json`, `judge.jsonl`, `answers.jsonl` and, for a later model, `comparisons.jsonl`."""
    work = _Work(_test_rows(context), _held_out(context), _others(context))
    client = ServingClient(context.config.serving, alive=context.progress.alive)
    journal = context.store.journal(context.output, inputs_digest=context.inputs_digest)
    folder = context.scratch / "output"
    folder.mkdir(exist_ok=True)
    with FinishedRows(journal, context.scratch / "spool", work.total) as finished:
        asyncio.run(_ask(context, client, work, finished))
        report = _report(context, work, finished.rows(), folder)
    write_json(folder / "metrics.json", report)
    metrics = _flat(report) | client.traffic.metrics()
    return StepOutcome([Output(context.output, folder)], metrics, after_commit=[journal.discard])


async def _ask(context: Context, client: ServingClient, work: _Work, finished: FinishedRows) -> None:
    def tell() -> None:
        context.progress.update(finished.count, finished.total, "requests", **client.traffic.metrics())

    tell()
    items = ranked_items(work.ranked)
    await judge_missing(client, context.config.judge, items, context.seed, finished, tell)
    async for _ in _texts(client, _answer_requests(context, work), finished):
        tell()
    answers = dict(zip((row["id"] for row in work.held_out), _answers(work, finished), strict=True))
    async for _ in _texts(client, _comparison_requests(context, work, answers), finished):
        tell()


async def _texts(client: ServingClient, requests: Iterator[ChatRequest], finished: FinishedRows) -> AsyncIterator[int]:
    """Send what is missing of `requests` and keep the text of each answer."""
    missing = InOrder(request for request in requests if request.key not in finished)
    async for completion in client.stream(missing):
        await finished.add(completion.key, {"text": completion.choices[0].text})
        yield completion.key


def _answer_requests(context: Context, work: _Work) -> Iterator[ChatRequest]:
    for key, row in enumerate(work.held_out, work.judgements):
        yield ChatRequest(key, row["prompt"], context.config.settings.sampling, seed_for(context.seed, row["id"]))


def _answers(work: _Work, finished: FinishedRows) -> Iterator[str]:
    """The model's own answers, in the order of the held-out prompts."""
    for key in range(work.judgements, work.judgements + len(work.held_out)):
        yield finished.row(key)["text"]


def _comparison_requests(context: Context, work: _Work, answers: Mapping[str, str]) -> Iterator[ChatRequest]:
    """Each pair of answers twice, the second time with the two exchanged."""
    key = work.judgements + len(work.held_out)
    for row in work.compared:
        mine, other = answers[row["id"]], work.others[row["id"]]
        for order, (first, second) in enumerate(((mine, other), (other, mine))):
            seed = seed_for(context.seed, row["id"], "comparison", order)
            message = comparison_message(row["prompt"], first, second)
            yield ChatRequest(key, message, context.config.judge.sampling, seed)
            key += 1


def _report(context: Context, work: _Work, rows: Iterator[Any], folder: Path) -> dict[str, Any]:
    """Read the finished rows in order, write the datasets, and count."""
    report: dict[str, Any] = {"judge": _judge(context, work, rows, folder)}
    answers: list[AnswerRow] = [
        {"id": row["id"], "prompt": row["prompt"], "answer": reply["text"]}
        for row, reply in zip(work.held_out, islice(rows, len(work.held_out)), strict=True)
    ]
    write_rows(folder / "answers.jsonl", answers)
    report["answers"] = _lengths(answers)
    if "against" in context.config.inputs:
        report["head_to_head"] = _compare(context, work, {row["id"]: row["answer"] for row in answers}, rows, folder)
    return report


def _judge(context: Context, work: _Work, rows: Iterator[Any], folder: Path) -> dict[str, Any]:
    """How well the model's judgements of ranked answers agree with people's."""
    judged = [[Judgement(**row) for row in islice(rows, len(ranked["answers"]))] for ranked in work.ranked]
    write_rows(folder / "judge.jsonl", map(_judge_row, work.ranked, judged))
    stated = [score for each in judged for judgement in each for score in judgement.scores]
    quality = judge_quality(
        list(map(_ranked_scores, work.ranked, judged)),
        max_score=judge_template(context.config.judge).scores.high,
        seed=context.seed,
    )
    return {
        "prompts": len(work.ranked),
        "judgements": len(stated),
        "parse_rate": sum(score is not None for score in stated) / len(stated) if stated else None,
        **_as_json(quality),
    }


def _compare(
    context: Context, work: _Work, answers: Mapping[str, str], rows: Iterator[Any], folder: Path
) -> dict[str, Any]:
    """This model's answers against M1's."""
    verdicts = [stated_verdict(row["text"]) for row in rows]
    outcomes = list(map(outcome, verdicts[::2], verdicts[1::2]))
    write_rows(
        folder / "comparisons.jsonl",
        (
            {
                "id": row["id"],
                "prompt": row["prompt"],
                "answer": answers[row["id"]],
                "against": work.others[row["id"]],
                "outcome": result,
            }
            for row, result in zip(work.compared, outcomes, strict=True)
        ),
    )
    rates = _as_json(win_rates(outcomes, context.seed))
    return {"prompts": len(outcomes), "unparsed": verdicts.count(None), **rates}


def _others(context: Context) -> dict[str, str]:
    if "against" not in context.config.inputs:
        return {}
    return {row["id"]: row["answer"] for row in read_rows(context.fetch("against") / "answers.jsonl", AnswerRow)}


def _test_rows(context: Context) -> list[RankingRow]:
    if "eft" not in context.config.inputs:
        return []
    return list(read_rows(context.fetch("eft") / "test.jsonl", RankingRow))


def _held_out(context: Context) -> list[PromptRow]:
    """The judge test set's prompts first, then the user's own; both are seen by no training step."""
    rows: list[PromptRow] = [{"id": row["id"], "prompt": row["prompt"]} for row in _test_rows(context)]
    if "seed" in context.config.inputs:
        own = context.fetch("seed") / "prompts.jsonl"
        rows += read_rows(own, PromptRow) if own.exists() else []
    return rows[: context.config.settings.prompts]


def _judge_row(row: RankingRow, judged: Sequence[Judgement]) -> dict[str, Any]:
    answers = [
        {"rank": answer["rank"], "scores": each.scores, "critiques": each.critiques}
        for answer, each in zip(row["answers"], judged, strict=True)
    ]
    return {"id": row["id"], "prompt": row["prompt"], "answers": answers}


def _ranked_scores(row: RankingRow, judged: Sequence[Judgement]) -> RankedScores:
    return RankedScores(
        ranks=[answer["rank"] for answer in row["answers"]],
        scores=[mean_score(each.scores) for each in judged],
        lengths=[len(answer["content"]) for answer in row["answers"]],
    )


def _lengths(answers: Sequence[AnswerRow]) -> dict[str, Any]:
    lengths = [len(row["answer"]) for row in answers]
    return {"prompts": len(lengths), "mean_chars": sum(lengths) / len(lengths) if lengths else None}


def _as_json(rates: Mapping[str, Rate]) -> dict[str, Any]:
    return {name: rate.as_json() for name, rate in rates.items()}


def _flat(report: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The report's numbers for status: `judge_pairwise_accuracy`, `head_to_head_win`, …"""
    flat: dict[str, float] = {}
    for part, numbers in report.items():
        for name, number in numbers.items():
            value = number["value"] if isinstance(number, Mapping) else number
            if value is not None:
                flat[f"{part}_{name}"] = float(value)
    return flat
