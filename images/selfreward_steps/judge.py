"""Step judge: K judgements of every candidate of the shard (paper section 2.2), or comparisons of every two."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, cast

from selfreward_steps.attempt.runtime import Output, StepContext, StepOutcome
from selfreward_steps.client.answered import FinishedRows
from selfreward_steps.client.client import HOPELESS, ServingClient
from selfreward_steps.client.refused_rows import write_refused
from selfreward_steps.contract import JudgeConfig, JudgeMode, JudgeSettings
from selfreward_steps.errors import PermanentError
from selfreward_steps.judging.custom_template import with_own_template
from selfreward_steps.judging.judgement import JudgedText, JudgeItem, Judgement, order_decided
from selfreward_steps.judging.judgements import judge_candidates, judge_items, judgements_of, requests_about
from selfreward_steps.judging.meta_asking import ask_meta_judge, settlements
from selfreward_steps.judging.meta_judge import FILE as JUDGEMENT_PAIRS
from selfreward_steps.judging.meta_judge import questions_about
from selfreward_steps.judging.scoring import LEAST_MASS
from selfreward_steps.judging.templates import judge_template
from selfreward_steps.rows import JudgementRow, RefusedRow, ResponseRow, count_rows, read_rows, write_rows

ROWS = "judgements.jsonl"


def run(context: StepContext[JudgeConfig]) -> StepOutcome:
    """Role `responses` → `judgements.jsonl`, one row a candidate, in the order of the responses.

    What is kept for a restart is a row a request: a candidate's, or with `judge.mode: pairwise` a comparison's. A
    candidate that the server does not take has no judgements, and stands in `refused.jsonl`.

    Raises PermanentError NoScores as soon as so many judgements without a score leave no hope, and for fewer of
    them when there is no other shard that could have one: sampling is seeded, so another attempt would end the same.
    Raises ServingRejected when the server takes no candidate.
    """
    config = context.config
    settings = with_own_template(config.settings, config.inputs, context.fetch)
    judge_template(settings)  # a template that cannot work is told before a server is asked
    path = context.fetch("responses") / "responses.jsonl"
    count = sum(len(row["candidates"]) for row in read_rows(path, ResponseRow))
    judged = sum(requests_about(settings, len(row["candidates"])) for row in read_rows(path, ResponseRow))
    total = judged + questions_about(settings) * count_rows(path)
    client = ServingClient(config.serving, alive=context.progress.alive)
    journal = context.store.journal(context.output, inputs_digest=context.inputs_digest)
    folder = context.scratch / "output"
    folder.mkdir(exist_ok=True)
    with FinishedRows(journal, context.scratch / "spool", total) as finished:
        shard = _Shard(context, settings, client, path, finished, judged)
        asyncio.run(_judge(shard))
        is_shard = (config.shards or 1) > 1
        client.require_an_answer(known=finished.recovered, is_shard=is_shard)
        totals = _totals(shard)
        if totals.judgements and not totals.scores and not is_shard:
            raise _no_scores(context, totals.judgements, next(row for row in finished.rows() if row["scores"]))
        swayed = _Swayed()
        write_rows(folder / ROWS, _rows(shard, swayed))
        meta = _meta_judged(shard, folder)
        write_refused(folder, _refused(shard))
    metrics = {
        "candidates": float(count),
        "recovered": float(finished.recovered),
        **totals.metrics(),
        **swayed.metrics(),
        **meta,
        **client.traffic.metrics(),
    }
    return StepOutcome([Output(context.output, folder)], metrics, after_commit=[journal.discard])


def candidates(path: Path) -> Iterator[JudgedText]:
    """Every prompt with its candidates, in the order of the responses."""
    for row in read_rows(path, ResponseRow):
        yield JudgedText(row["id"], row["prompt"], [candidate["text"] for candidate in row["candidates"]])


@dataclass(frozen=True)
class _Shard:
    """What is judged, by whom, and what has been said so far; the first `judged` rows are judgements."""

    context: StepContext[JudgeConfig]
    settings: JudgeSettings
    client: ServingClient
    path: Path
    finished: FinishedRows
    judged: int

    def tell(self, unit: str) -> None:
        finished = self.finished
        self.context.progress.update(finished.count, finished.total, unit, **self.client.traffic.metrics())

    def judgements(self) -> Iterator[tuple[JudgedText, list[Judgement]]]:
        """Each prompt with the judgements of its candidates."""
        said = (
            Judgement(row["scores"], row["critiques"], row["tokens"], row.get("mass"), row.get("refused"))
            for row in self.finished.rows(self.judged)
        )
        for text in candidates(self.path):
            yield text, judgements_of(self.settings, len(text.answers), said)


async def _judge(shard: _Shard) -> None:
    settings, finished, seed = shard.settings, shard.finished, shard.context.seed
    unit = "comparisons" if settings.mode is JudgeMode.PAIRWISE else "candidates"
    missing = (item for item in judge_items(settings, candidates(shard.path)) if item.index not in finished)
    shard.tell(unit)
    stated = samples = 0
    async for item, judgement in judge_candidates(shard.client, settings, missing, seed):
        row = _row(item, judgement)
        if judgement.refused is not None:
            finished.refuse(item.index, row)
            continue
        await finished.add(item.index, row)
        samples += len(judgement.scores)
        stated += len(judgement.scores) - judgement.scores.count(None)
        if not stated and samples >= HOPELESS and not finished.recovered:
            raise _no_scores(shard.context, samples, row)
        shard.tell(unit)


def _meta_judged(shard: _Shard, folder: Path) -> dict[str, float]:
    """Ask the meta-judge, where there is one, and write its pairs; what came of it, in numbers."""
    settings, finished, first = shard.settings, shard.finished, shard.judged
    if settings.meta_judge is None:
        return {}
    seed = shard.context.seed
    asyncio.run(
        ask_meta_judge(
            shard.client, settings, shard.judgements(), seed, finished, first, lambda: shard.tell("judgements compared")
        )
    )
    found = list(settlements(settings, shard.judgements(), finished, first))
    pairs = write_rows(folder / JUDGEMENT_PAIRS, (each.pair for each in found if each.pair is not None))
    compared = sum(each.comparisons for each in found)
    told = {"disputes": float(len(found)), "judgement_pairs": float(pairs)}
    return told | ({"meta_position_bias": sum(each.flips for each in found) / compared} if compared else {})


class _Finished(JudgementRow):
    """A finished request: a candidate's row, or what was said of it beside the candidate `against`."""

    against: NotRequired[int]


def _row(item: JudgeItem, judgement: Judgement) -> _Finished:
    identity, _, place = item.key.rpartition("/")
    first, _, second = place.partition("-")
    row = cast(_Finished, _judgement_row(identity, int(first), judgement))
    if second:
        row["against"] = int(second)
    return row


def _judgement_row(identity: str, place: int, judgement: Judgement) -> JudgementRow:
    row: JudgementRow = {
        "id": identity,
        "candidate": place,
        "scores": judgement.scores,
        "critiques": judgement.critiques,
        "tokens": judgement.tokens,
    }
    if judgement.mass is not None:
        row["mass"] = judgement.mass
    if judgement.refused is not None:
        row["refused"] = judgement.refused
    if judgement.flips is not None:
        row["flips"] = judgement.flips
    return row


def _rows(shard: _Shard, swayed: _Swayed) -> Iterator[JudgementRow]:
    """The judgements of every candidate, from the finished requests."""
    for text, judged in shard.judgements():
        swayed.add(judged)
        for place, judgement in enumerate(judged):
            yield _judgement_row(text.id, place, judgement)


@dataclass
class _Swayed:
    """How often the order decided, where there were two orders."""

    flips: int = 0
    comparisons: int = 0

    def add(self, judged: Sequence[Judgement]) -> None:
        flips, comparisons = order_decided(judged)
        self.flips += flips
        self.comparisons += comparisons

    def metrics(self) -> dict[str, float]:
        return {"position_bias": self.flips / self.comparisons} if self.comparisons else {}


@dataclass
class _Totals:
    """What the shard's judgements say in all."""

    judgements: int = 0
    scores: int = 0
    """Judgements that state a score."""
    mass: float = 0.0
    masses: int = 0

    def metrics(self) -> dict[str, float]:
        found = {} if not self.judgements else {"parse_rate": self.scores / self.judgements}
        return found | ({} if not self.masses else {"mean_score_mass": self.mass / self.masses})


def _totals(shard: _Shard) -> _Totals:
    totals = _Totals()
    for row in shard.finished.rows(shard.judged):
        totals.judgements += len(row["scores"])
        totals.scores += sum(score is not None for score in row["scores"])
        if "mass" in row:
            totals.mass += row["mass"]
            totals.masses += 1
    return totals


def _refused(shard: _Shard) -> Iterator[RefusedRow]:
    for row in shard.finished.rows(shard.judged):
        if "refused" in row:
            beside = f"-{row['against']}" if "against" in row else ""
            yield {"id": f"{row['id']}/{row['candidate']}{beside}", "why": row["refused"]}


def _no_scores(context: StepContext[JudgeConfig], samples: int, first: JudgementRow) -> PermanentError:
    settings = context.config.settings
    said = f"none of {samples} judgements by {context.config.serving.model}"
    end = first["critiques"][0][-80:]
    if settings.mode is JudgeMode.LOGPROB:
        return PermanentError(
            "NoScores",
            f"judge.mode logprob: {said} begins with a score: the score tokens have less than {LEAST_MASS:.0%} of the "
            f"probability (one of them begins with {end!r}): train the judge on evaluation data (seedData.rankings or "
            "seedData.eft), end judge.customTemplate with a request for the number alone, or set judge.mode: cot",
        )
    if settings.mode is JudgeMode.PAIRWISE:
        return PermanentError(
            "NoScores",
            f"judge.mode pairwise: {said} states a verdict (one of them ends with {end!r}): use a judge that can, "
            "train it on ranked answers (seedData.rankings), raise judge.sampling.maxTokens, or set judge.mode: cot",
        )
    return PermanentError(
        "NoScores",
        f"judge.template: {said} states a score with template {settings.template} (one of them ends with {end!r}): use "
        "a judge that can, train it on evaluation data (seedData.rankings or seedData.eft), raise "
        "judge.sampling.maxTokens, or set judge.mode: logprob",
    )
