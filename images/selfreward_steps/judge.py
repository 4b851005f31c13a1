"""Step judge: K judgements of every candidate of the shard (paper section 2.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from selfreward_steps.attempt.runtime import Output, StepContext, StepOutcome
from selfreward_steps.client.answered import FinishedRows
from selfreward_steps.client.client import ServingClient
from selfreward_steps.contract import JudgeConfig, JudgeSettings
from selfreward_steps.errors import PermanentError
from selfreward_steps.judging.custom_template import with_own_template
from selfreward_steps.judging.judgements import JudgeItem, Judgement, judge_candidates
from selfreward_steps.judging.templates import judge_template
from selfreward_steps.rows import JudgementRow, ResponseRow, read_rows

ROWS = "judgements.jsonl"
HOPELESS = 300
"""Judgements without one score after which the judge is given up: by the rule of three, 95 times in 100 fewer than 1
in 100 of its judgements state one."""


def run(context: StepContext[JudgeConfig]) -> StepOutcome:
    """Role `responses` → `judgements.jsonl`, one row a candidate, in the order of the responses.

    Raises PermanentError NoScores as soon as so many judgements without a score leave no hope, and for fewer of
    them when there is no other shard that could have one: sampling is seeded, so another attempt would end the same.
    """
    config = context.config
    settings = with_own_template(config.settings, config.inputs, context.fetch)
    judge_template(settings)  # a template that cannot work is told before a server is asked
    path = context.fetch("responses") / "responses.jsonl"
    total = sum(len(row["candidates"]) for row in read_rows(path, ResponseRow))
    client = ServingClient(config.serving, alive=context.progress.alive)
    journal = context.store.journal(context.output, inputs_digest=context.inputs_digest)
    folder = context.scratch / "output"
    folder.mkdir(exist_ok=True)
    with FinishedRows(journal, context.scratch / "spool", total) as finished:
        asyncio.run(_judge(context, settings, client, path, finished))
        stated, samples = _parsed(finished)
        if samples and not stated and (config.shards or 1) == 1:
            raise _no_scores(context, samples, next(finished.rows()))
        finished.write(folder / ROWS)
    metrics = {
        "candidates": float(total),
        "recovered": float(finished.recovered),
        **({"parse_rate": stated / samples} if samples else {}),
        **client.traffic.metrics(),
    }
    return StepOutcome([Output(context.output, folder)], metrics, after_commit=[journal.discard])


def candidates(path: Path) -> Iterator[JudgeItem]:
    """Every candidate with its number in the shard; those of one prompt follow each other."""
    index = 0
    for row in read_rows(path, ResponseRow):
        for place, candidate in enumerate(row["candidates"]):
            yield JudgeItem(f"{row['id']}/{place}", row["prompt"], candidate["text"], index)
            index += 1


async def _judge(
    context: StepContext[JudgeConfig],
    settings: JudgeSettings,
    client: ServingClient,
    path: Path,
    finished: FinishedRows,
) -> None:
    total = finished.total
    missing = (item for item in candidates(path) if item.index not in finished)
    context.progress.update(finished.count, total, "candidates")
    stated = samples = 0
    async for item, judgement in judge_candidates(client, settings, missing, context.seed):
        row = _row(item, judgement)
        await finished.add(item.index, row)
        samples += len(judgement.scores)
        stated += len(judgement.scores) - judgement.scores.count(None)
        if not stated and samples >= HOPELESS and not finished.recovered:
            raise _no_scores(context, samples, row)
        context.progress.update(finished.count, total, "candidates", **client.traffic.metrics())


def _row(item: JudgeItem, judgement: Judgement) -> JudgementRow:
    identity, place = item.key.rsplit("/", 1)
    row: JudgementRow = {
        "id": identity,
        "candidate": int(place),
        "scores": judgement.scores,
        "critiques": judgement.critiques,
        "tokens": judgement.tokens,
    }
    if judgement.mass is not None:
        row["mass"] = judgement.mass
    return row


def _parsed(finished: FinishedRows) -> tuple[int, int]:
    """Judgements with a score, and all of them."""
    stated = samples = 0
    for row in finished.rows():
        samples += len(row["scores"])
        stated += sum(score is not None for score in row["scores"])
    return stated, samples


def _no_scores(context: StepContext[JudgeConfig], samples: int, first: JudgementRow) -> PermanentError:
    settings = context.config.settings
    return PermanentError(
        "NoScores",
        f"judge.template: none of {samples} judgements by {context.config.serving.model} states a score with template "
        f"{settings.template} (one of them ends with {first['critiques'][0][-80:]!r}): use a judge that can, train "
        "it on evaluation data (seedData.rankings or seedData.eft), raise judge.sampling.maxTokens, or set judge.mode "
        "to logprob",
    )
