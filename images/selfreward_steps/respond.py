"""Step respond: N candidates for every prompt of the shard (paper section 2.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from selfreward_steps.attempt.runtime import Output, StepContext, StepOutcome
from selfreward_steps.client.answered import FinishedRows
from selfreward_steps.client.client import InOrder, ServingClient
from selfreward_steps.client.refused_rows import write_refused
from selfreward_steps.client.requests import ChatRequest, Completion, Refusal, seed_for
from selfreward_steps.contract import RespondConfig
from selfreward_steps.rows import (
    Candidate,
    PromptRow,
    RefusedRow,
    ResponseRow,
    count_rows,
    is_truncated,
    read_rows,
)

ROWS = "responses.jsonl"


def run(context: StepContext[RespondConfig]) -> StepOutcome:
    """Role `prompts` → `responses.jsonl`, in the order of the prompts. Shard i of n takes prompts i, i + n, …

    A prompt that the server does not take (one that is too long for it) has no candidates, and stands in
    `refused.jsonl`. Raises PermanentError ServingRejected when it takes none.
    """
    config = context.config
    path = context.fetch("prompts") / "prompts.jsonl"
    shard, shards = context.shard or 0, config.shards or 1
    total = len(range(shard, count_rows(path), shards))
    client = ServingClient(config.serving, alive=context.progress.alive)
    journal = context.store.journal(context.output, inputs_digest=context.inputs_digest)
    folder = context.scratch / "output"
    folder.mkdir(exist_ok=True)
    with FinishedRows(journal, context.scratch / "spool", total) as finished:
        asyncio.run(_respond(context, client, path, finished))
        client.require_an_answer(known=finished.recovered, is_shard=shards > 1)
        finished.write(folder / ROWS)
        write_refused(folder, _refused(finished))
    told = {"prompts": float(total), "recovered": float(finished.recovered), **_cut_off(folder / ROWS)}
    metrics = {**told, **client.traffic.metrics()}
    return StepOutcome([Output(context.output, folder)], metrics, after_commit=[journal.discard])


def shard_prompts(path: Path, shard: int, shards: int) -> Iterator[tuple[int, PromptRow]]:
    """The shard's prompts with their index in it: strided, so that shards differ by at most one and none is lost."""
    return enumerate(islice(read_rows(path, PromptRow), shard, None, shards))


async def _respond(
    context: StepContext[RespondConfig], client: ServingClient, path: Path, finished: FinishedRows
) -> None:
    in_flight: dict[int, PromptRow] = {}

    def requests() -> Iterator[ChatRequest]:
        for index, row in shard_prompts(path, context.shard or 0, context.config.shards or 1):
            if index not in finished:
                in_flight[index] = row
                yield _request(context, index, row)

    total = finished.total
    context.progress.update(finished.count, total, "prompts")
    async for answer in client.stream(InOrder(requests())):
        row = _row(in_flight.pop(answer.key), answer)
        if isinstance(answer, Refusal):
            finished.refuse(answer.key, row)
        else:
            await finished.add(answer.key, row)
        context.progress.update(finished.count, total, "prompts", **client.traffic.metrics())


def _request(context: StepContext[RespondConfig], index: int, row: PromptRow) -> ChatRequest:
    settings, single = context.config.settings, context.config.single
    return ChatRequest(
        key=index,
        message=row["prompt"],
        sampling=settings.sampling if single is None else single,
        seed=seed_for(context.seed, row["id"]),
        samples=settings.per_prompt if single is None else 1,
    )


def _cut_off(path: Path) -> dict[str, float]:
    """How many candidates there are, and how many of them reached the longest completion."""
    cut = [is_truncated(each) for row in read_rows(path, ResponseRow) for each in row["candidates"]]
    return {"candidates": float(len(cut)), "truncated": float(sum(cut))}


def _row(prompt: PromptRow, answer: Completion | Refusal) -> ResponseRow:
    row: ResponseRow = {"id": prompt["id"], "prompt": prompt["prompt"], "candidates": [], "tokens": None}
    if isinstance(answer, Refusal):
        return {**row, "refused": answer.why}
    candidates: list[Candidate] = [
        {"text": choice.text, "finish_reason": choice.finish_reason} for choice in answer.choices
    ]
    return {**row, "candidates": candidates, "tokens": answer.tokens}


def _refused(finished: FinishedRows) -> Iterator[RefusedRow]:
    for row in finished.rows():
        if "refused" in row:
            yield {"id": row["id"], "why": row["refused"]}
