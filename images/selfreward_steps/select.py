"""Step select: the round's model, chosen among checkpoints of its training by pairwise wins (paper, section 3.1).

Each checkpoint has answered the same prompts, of which no pair was made; the round's judge compares the answers of
every two, in both orders. What is committed is the winner as it was exported, with the numbers measured of it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selfreward_steps.attempt.runtime import Output, StepContext, StepOutcome
from selfreward_steps.client.answered import FinishedRows
from selfreward_steps.client.client import InOrder, ServingClient
from selfreward_steps.client.requests import ChatRequest, Refusal
from selfreward_steps.contract import SELECTION, SelectConfig
from selfreward_steps.evaluation.tournament import Match, Standing, chosen, matches, result_of, standings
from selfreward_steps.rows import ResponseRow, read_rows, write_json
from selfreward_steps.store.disk import require_room
from selfreward_steps.store.names import MANIFEST

Context = StepContext[SelectConfig]


def run(context: Context) -> StepOutcome:
    """Roles `checkpoint-1`, `answers-1`, … to the model, with `selection.json` beside its weights.

    A comparison that the server does not take is a tie. Raises ServingRejected when it takes none.
    """
    count = sum(role.startswith("checkpoint-") for role in context.config.inputs)
    found = _matches(context, count)
    asked = [match for match in found if match.is_asked]
    client = ServingClient(context.config.serving, alive=context.progress.alive)
    journal = context.store.journal(context.output, inputs_digest=context.inputs_digest)
    with FinishedRows(journal, context.scratch / "spool", 2 * len(asked)) as finished:
        asyncio.run(_ask(context, client, asked, finished))
        client.require_an_answer(known=finished.recovered)
        replies = [_reply(finished, key) for key in range(finished.total)]
    results = list(map(result_of, zip(replies[::2], replies[1::2], strict=True)))
    table = standings(count, list(zip(asked, results, strict=True)))
    winner = chosen(table)
    told = {
        "checkpoints": float(count),
        "selected": float(winner + 1),
        "comparisons": float(len(found)),
        "same_answers": float(len(found) - len(asked)),
        "wins": float(table[winner].wins),
        "losses": float(table[winner].losses),
    }
    output, measured = _model(context, winner + 1, table)
    return StepOutcome([output], {**told, **measured, **client.traffic.metrics()}, after_commit=[journal.discard])


def _matches(context: Context, count: int) -> list[Match]:
    prompts: dict[str, str] = {}
    answers: list[dict[str, str]] = []
    for number in range(1, count + 1):
        rows = list(read_rows(context.fetch(f"answers-{number}") / "responses.jsonl", ResponseRow))
        prompts |= {row["id"]: row["prompt"] for row in rows}
        answers.append({row["id"]: row["candidates"][0]["text"] for row in rows if row["candidates"]})
    return matches(prompts, answers)


async def _ask(context: Context, client: ServingClient, asked: list[Match], finished: FinishedRows) -> None:
    def requests() -> Iterator[ChatRequest]:
        for place, match in enumerate(asked):
            for request in match.requests(2 * place, context.config.sampling, context.seed):
                if request.key not in finished:
                    yield request

    context.progress.update(finished.count, finished.total, "requests")
    async for answer in client.stream(InOrder(requests())):
        if isinstance(answer, Refusal):
            finished.refuse(answer.key, {"refused": answer.why})
        else:
            await finished.add(answer.key, {"text": answer.choices[0].text})
        context.progress.update(finished.count, finished.total, "requests", **client.traffic.metrics())


def _reply(finished: FinishedRows, key: int) -> str | None:
    text: str | None = finished.row(key).get("text")
    return text


def _model(context: Context, number: int, table: list[Standing]) -> tuple[Output, dict[str, float]]:
    """The winner's folder, and what was measured of it."""
    role = f"checkpoint-{number}"
    source, artifact = context.fetch(role), context.config.inputs[role].artifact
    files = [path for path in source.rglob("*") if path.is_file() and path.name != MANIFEST]
    require_room(context.scratch, sum(path.stat().st_size for path in files))
    folder = context.scratch / "model"
    shutil.rmtree(folder, ignore_errors=True)
    for path in files:
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Contents only: a folder store's files are read-only.
        shutil.copyfile(path, target)
    selection = {
        "selected": artifact,
        "checkpoints": [
            {"checkpoint": place, "wins": each.wins, "losses": each.losses} for place, each in enumerate(table, 1)
        ],
    }
    write_json(folder / SELECTION, selection)
    _tell(folder / "README.md", context.output, artifact, len(table), table[number - 1])
    manifest = context.store.read_manifest(artifact)
    metadata: dict[str, Any] = {} if manifest is None else dict(manifest.metadata)
    measured = metadata.pop("metrics", {})
    kept = {name: value for name, value in measured.items() if "reward_" in name or name.endswith("measured_pairs")}
    return Output(context.output, folder, {**metadata, "selected": artifact}), kept


def _tell(card: Path, output: str, artifact: str, count: int, standing: Standing) -> None:
    """Give the checkpoint's card the model's name, and say how it was chosen."""
    text = card.read_text(encoding="utf-8").replace(f"# {artifact}\n", f"# {output}\n", 1)
    chosen_as = (
        f"\nChosen among {count} checkpoints as `{artifact}`: {standing.wins} comparisons won and {standing.losses} "
        f"lost against the others (`{SELECTION}`).\n"
    )
    card.write_text(text + chosen_as, encoding="utf-8")
