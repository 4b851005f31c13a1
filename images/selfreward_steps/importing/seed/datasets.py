"""Import of the user's datasets as the seed artifact that every later step reads.

Instructions, rankings, ready judgements and prompts each become one JSONL file of :mod:`rows`; whatever was left
out is counted in the manifest. A dataset passes through row by row.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from selfreward_steps.contract import DataFormat, DataSource, EvaluationData, ImportConfig
from selfreward_steps.importing.seed.columns import (
    ANSWER,
    PROMPT,
    answered_chat,
    first_of,
    messages_in,
    number_in,
    recognise,
    recognise_prompts,
    text_in,
)
from selfreward_steps.importing.seed.oasst import first_turns
from selfreward_steps.importing.seed.questions import questions
from selfreward_steps.importing.seed.rankings import given_id, ordered, rankings
from selfreward_steps.importing.seed.reading import Row, bad_data, read_source
from selfreward_steps.importing.sources import Place
from selfreward_steps.rows import EftRow, InstructionRow, Message, PromptRow, RankingRow, write_rows
from selfreward_steps.store.digests import canonical_json

Rows = Iterator[Row]
Reader = Callable[[Rows, str, Counter[str]], Iterator[Mapping[str, Any]]]


@dataclass(frozen=True)
class Role:
    """One kind of seed data: its file, the spec's field and how each shape is read."""

    name: str
    field: str
    source: DataSource
    readers: Mapping[DataFormat, Reader]


def import_seed(
    config: ImportConfig, place: Place, folder: Path, environment: Mapping[str, str]
) -> dict[str, JsonValue]:
    """Write `<role>.jsonl` for every dataset that is given into `folder`; returns the manifest's metadata.

    Raises PermanentError BadSeedData and what :func:`seed_rows.read_source` raises.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    counts: dict[str, JsonValue] = {}
    told: dict[str, JsonValue] = {}
    for role in roles(config):
        variable = config.token_variables.get(role.name)
        tally: Counter[str] = Counter()
        kind = _import(role, environment.get(variable) if variable else None, place, folder, tally)
        told[role.name] = {"source": role.source.uri, "revision": role.source.revision, "format": kind}
        kept = tally.pop("kept")
        counts |= {role.name: kept, **{f"{role.name}_{what}": count for what, count in sorted(tally.items()) if count}}
    systems = counts.pop("instructions_system_messages", 0)
    return {"counts": counts, "sources": told, "system_messages": systems}


def roles(config: ImportConfig) -> list[Role]:
    """The datasets that the configuration gives, by their role."""
    data = config.seed_data
    low, high = config.min_score, config.max_score
    mine = config.evaluation or EvaluationData()
    known: list[tuple[str, str, DataSource | None, Mapping[DataFormat, Reader]]] = [
        ("instructions", "seedData.instructions", data.instructions, _INSTRUCTIONS),
        ("rankings", "seedData.rankings", data.rankings, _RANKINGS),
        ("eft", "seedData.eft", data.eft, {DataFormat.EFT: partial(_eft, low=low, high=high)}),
        ("prompts", "prompts.source", config.prompts_source.source, _PROMPTS),
        ("held_out", "evaluation.source", mine.source, _PROMPTS),
        ("outside", "evaluation.outside", mine.outside, _INSTRUCTIONS),
        ("mt_bench", "evaluation.mtBench", mine.mt_bench, {DataFormat.MT_BENCH: questions}),
        ("safety_prompts", "evaluation.safetyPrompts", mine.safety_prompts, _PROMPTS),
    ]
    return [Role(name, field, source, readers) for name, field, source, readers in known if source is not None]


def _import(role: Role, token: str | None, place: Place, folder: Path, tally: Counter[str]) -> str:
    rows = read_source(role.source, role.field, token, place)
    first = next(rows, None)
    if first is None:
        raise bad_data(role.field, role.source.uri, "it has no rows")
    recognised = recognise_prompts if role.readers is _PROMPTS else recognise
    kind = recognised(first, role.source.format, tuple(role.readers), role.field)
    found = role.readers[kind](chain([first], rows), role.field, tally)
    tally["kept"] = write_rows(folder / f"{role.name}.jsonl", _unique(found, tally))
    if tally["kept"] == 0:
        left_out = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in sorted(tally.items()) if count)
        raise bad_data(role.field, role.source.uri, f"no row of it can be used: left out: {left_out or 'all'}")
    return kind.value


def _unique(rows: Iterator[Mapping[str, Any]], tally: Counter[str]) -> Iterator[Mapping[str, Any]]:
    """Rows with an id each, and each prompt once; judgements are told apart by all they hold."""
    prompts: set[bytes] = set()
    ids: set[str] = set()
    for row in rows:
        content = {key: value for key, value in row.items() if key != "id"}
        what = content if "critique" in row else row["prompt"] if "prompt" in row else _asked(row)
        key = hashlib.sha256(canonical_json(what)).digest()[:16]
        if key in prompts:
            tally["duplicates"] += 1
            continue
        prompts.add(key)
        identifier = row.get("id") or hashlib.sha256(canonical_json(content)).hexdigest()[:16]
        if identifier in ids:
            # Two prompts under one id: later steps join by id.
            identifier = f"{identifier}-{key.hex()[:8]}"
        ids.add(identifier)
        yield {"id": identifier, **content}


def _asked(row: Mapping[str, Any]) -> JsonValue:
    """All of a chat but its last answer."""
    asked: JsonValue = [[message["role"], message["content"].strip()] for message in row["messages"][:-1]]
    return asked


def _chats(rows: Rows, field: str, tally: Counter[str]) -> Iterator[InstructionRow]:
    for row in rows:
        messages = answered_chat(row, field)
        tally["system_messages"] += messages[0]["role"] == "system"
        yield {"id": given_id(row), "messages": messages}


def _instruction(prompt: str, answer: str, identifier: str = "") -> InstructionRow:
    asked, answered = Message(role="user", content=prompt), Message(role="assistant", content=answer)
    return {"id": identifier, "messages": [asked, answered]}


def _alpaca(rows: Rows, field: str, tally: Counter[str]) -> Iterator[InstructionRow]:
    for row in rows:
        prompt, row = _alpaca_prompt(row, field)
        yield _instruction(prompt, text_in(row, first_of(row.values, ANSWER), field), given_id(row))


def _alpaca_prompt(row: Row, field: str) -> tuple[str, Row]:
    """Instruction and input as one prompt. Self-Instruct keeps input and output in `instances`: the first is taken."""
    instances = row.values.get("instances")
    if isinstance(instances, list) and instances and isinstance(instances[0], Mapping):
        row = Row({**row.values, **instances[0]}, row.where)
    prompt = text_in(row, first_of(row.values, PROMPT), field)
    given = text_in(row, "input", field, empty=True) if "input" in row.values else ""
    return (f"{prompt}\n\n{given}" if given.strip() else prompt), row


def _best_of_trees(rows: Rows, field: str, tally: Counter[str]) -> Iterator[InstructionRow]:
    for group in first_turns(rows, field, tally):
        best = [content for content, goodness in group.answers if goodness == 0]
        tally["without_best_answer"] += not best
        if best:
            yield _instruction(group.prompt, best[0], group.identifier)


def _best_of_rankings(rows: Rows, field: str, tally: Counter[str]) -> Iterator[InstructionRow]:
    for row in rankings(rows, field, tally):
        yield _instruction(row["prompt"], row["answers"][0]["content"], row["id"])


def _ranked_trees(rows: Rows, field: str, tally: Counter[str]) -> Iterator[RankingRow]:
    for group in first_turns(rows, field, tally):
        ranked = ordered(group, tally)
        if ranked is not None:
            yield ranked


def _eft(rows: Rows, field: str, tally: Counter[str], low: float, high: float) -> Iterator[EftRow]:
    for row in rows:
        score = number_in(row.values.get("score"), "score", row, field)
        if score is None or not low <= score <= high:
            found = "null" if score is None else f"{score:g}"
            raise bad_data(field, row.where, f"score is {found}, expected {low:g} … {high:g}, the judge's scale")
        yield {
            "id": given_id(row),
            "prompt": text_in(row, "prompt", field),
            "response": text_in(row, "response", field),
            "critique": text_in(row, "critique", field, empty=True),
            "score": score,
        }


def _plain_prompts(rows: Rows, field: str, tally: Counter[str]) -> Iterator[PromptRow]:
    for row in rows:
        yield {"id": given_id(row), "prompt": _alpaca_prompt(row, field)[0]}


def _first_messages(rows: Rows, field: str, tally: Counter[str]) -> Iterator[PromptRow]:
    for row in rows:
        asked = [message["content"] for message in messages_in(row, field) if message["role"] == "user"]
        if not asked:
            raise bad_data(field, row.where, "no message is from the user: there is no prompt in it")
        yield {"id": given_id(row), "prompt": asked[0]}


def _tree_prompts(rows: Rows, field: str, tally: Counter[str]) -> Iterator[PromptRow]:
    for group in first_turns(rows, field, tally):
        yield {"id": group.identifier, "prompt": group.prompt}


_INSTRUCTIONS: Mapping[DataFormat, Reader] = {
    DataFormat.MESSAGES: _chats,
    DataFormat.OASST: _best_of_trees,
    DataFormat.RANKED: _best_of_rankings,
    DataFormat.ALPACA: _alpaca,
}
_RANKINGS: Mapping[DataFormat, Reader] = {DataFormat.RANKED: rankings, DataFormat.OASST: _ranked_trees}
_PROMPTS: Mapping[DataFormat, Reader] = {
    DataFormat.MESSAGES: _first_messages,
    DataFormat.OASST: _tree_prompts,
    DataFormat.ALPACA: _plain_prompts,
    DataFormat.RANKED: _plain_prompts,
}
