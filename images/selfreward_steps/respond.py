"""Step respond: N candidates for every prompt of the shard (paper section 2.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from selfreward_steps.attempt.runtime import Output, StepContext, StepOutcome
from selfreward_steps.client.answered import FinishedRows
from selfreward_steps.client.client import InOrder, ServingClient
from selfreward_steps.client.requests import ChatRequest, Completion, seed_for
from selfreward_steps.contract import RespondConfig
from selfreward_steps.rows import PromptRow, ResponseRow, count_rows, is_truncated, read_rows

ROWS = "responses.jsonl"


def run(context: StepContext[RespondConfig]) -> StepOutcome:
    """Role `prompts` → `responses.jsonl`, in the order of the prompts. Shard i of n takes prompts i, i + n, …"""
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
        finished.write(folder / ROWS)
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
    async for completion in client.stream(InOrder(requests())):
        await finished.add(completion.key, _row(in_flight.pop(completion.key), completion))
        context.progress.update(finished.count, total, "prompts", **client.traffic.metrics())


def _request(context: StepContext[RespondConfig], index: int, row: PromptRow) -> ChatRequest:
    settings = context.config.settings
    return ChatRequest(
        key=index,
        message=row["prompt"],
        sampling=settings.sampling,
        seed=seed_for(context.seed, row["id"]),
        samples=settings.per_prompt,
    )


def _cut_off(path: Path) -> dict[str, float]:
    """How many candidates there are, and how many of them reached the longest completion."""
    cut = [is_truncated(each) for row in read_rows(path, ResponseRow) for each in row["candidates"]]
    return {"candidates": float(len(cut)), "truncated": float(sum(cut))}


def _row(prompt: PromptRow, completion: Completion) -> ResponseRow:
    return {
        "id": prompt["id"],
        "prompt": prompt["prompt"],
        "candidates": [{"text": choice.text, "finish_reason": choice.finish_reason} for choice in completion.choices],
        "tokens": completion.tokens,
    }
