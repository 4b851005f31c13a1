"""Import of the user's datasets as the seed artifact that every later step reads.

Instructions, rankings, ready judgements and prompts each become one JSONL file of :mod:`rows`; whatever was left
out is counted in the manifest. A dataset passes through row by row.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from selfreward_steps.contract import DataFormat, DataSource, EvaluationData, ImportConfig
from selfreward_steps.credentials import credential
from selfreward_steps.importing.seed.asked import asked_in, conversation_text, joined, with_system
from selfreward_steps.importing.seed.columns import (
    ANSWER,
    checked_chat,
    conversation_in,
    first_of,
    is_asked,
    messages_in,
    number_in,
    recognise,
    recognise_prompts,
    text_in,
    until_answer,
)
from selfreward_steps.importing.seed.oasst import first_turns
from selfreward_steps.importing.seed.questions import questions
from selfreward_steps.importing.seed.rankings import given_id, ordered, rankings
from selfreward_steps.importing.seed.reading import Row, bad_data, read_source
from selfreward_steps.importing.sources import Place
from selfreward_steps.rows import EftRow, InstructionRow, Message, PromptRow, RankingRow, write_rows
from selfreward_steps.store.digests import canonical_json

_NOT_TEXT: Final = ("tools", "functions", "image", "images", "audio", "audios", "video", "videos")
"""Columns of what a row's text needs, and no chat of text can hold."""
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
        token = credential(environment, variable, f"{role.field}.tokenSecretRef") if variable else ""
        kind = _import(role, token or None, place, folder, tally)
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
    rows = _text_rows(read_source(role.source, role.field, token, place), tally)
    first = next(rows, None)
    if first is None:
        raise bad_data(role.field, role.source.uri, f"it has no rows{_left_out(tally)}")
    recognised = recognise_prompts if role.readers is _PROMPTS else recognise
    kind = recognised(first, role.source.format, tuple(role.readers), role.field)
    found = role.readers[kind](chain([first], rows), role.field, tally)
    tally["kept"] = write_rows(folder / f"{role.name}.jsonl", _unique(found, tally))
    if tally["kept"] == 0:
        raise bad_data(role.field, role.source.uri, f"no row of it can be used{_left_out(tally)}")
    return kind.value


def _left_out(tally: Counter[str]) -> str:
    told = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in sorted(tally.items()) if count)
    return f": left out: {told}" if told else ""


def _text_rows(rows: Rows, tally: Counter[str]) -> Rows:
    """Rows that are text alone; those with tools or images are left out and counted."""
    for row in rows:
        left_out = next((name for name in _NOT_TEXT if row.values.get(name) not in (None, [], "", "[]", b"")), None)
        if left_out is None:
            yield row
        else:
            tally[f"with_{left_out}"] += 1


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
        messages = until_answer(with_system(row, messages_in(row, field, tally), field), tally)
        yield _instruction(given_id(row), checked_chat(messages, row, field), tally)


def _instruction(identifier: str, messages: list[Message], tally: Counter[str]) -> InstructionRow:
    tally["system_messages"] += messages[0]["role"] == "system"
    return {"id": identifier, "messages": messages}


def _answered(identifier: str, asked: Sequence[Message], answer: str, tally: Counter[str]) -> InstructionRow:
    return _instruction(identifier, [*asked, Message(role="assistant", content=answer)], tally)


def _alpaca(rows: Rows, field: str, tally: Counter[str]) -> Iterator[InstructionRow]:
    for row in map(_first_instance, rows):
        answer = text_in(row, first_of(row.values, ANSWER), field)
        yield _answered(given_id(row), asked_in(row, field, tally), answer, tally)


def _first_instance(row: Row) -> Row:
    """Self-Instruct keeps input and output in `instances`: the first is taken."""
    instances = row.values.get("instances")
    if isinstance(instances, list) and instances and isinstance(instances[0], Mapping):
        return Row({**row.values, **instances[0]}, row.where)
    return row


def _best_of_trees(rows: Rows, field: str, tally: Counter[str]) -> Iterator[InstructionRow]:
    for group in first_turns(rows, field, tally):
        best = [content for content, goodness in group.answers if goodness == 0]
        tally["without_best_answer"] += not best
        if best:
            yield _answered(group.identifier, group.asked, best[0], tally)


def _best_of_rankings(rows: Rows, field: str, tally: Counter[str]) -> Iterator[InstructionRow]:
    for row in rankings(rows, field, tally):
        asked = row.get("messages") or [Message(role="user", content=row["prompt"])]
        yield _answered(row["id"], asked, row["answers"][0]["content"], tally)


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
            "prompt": conversation_text(asked_in(row, field, tally)),
            "response": text_in(row, "response", field),
            "critique": text_in(row, "critique", field, empty=True),
            "score": score,
        }


def _plain_prompts(rows: Rows, field: str, tally: Counter[str]) -> Iterator[PromptRow]:
    for row in map(_first_instance, rows):
        chosen = (conversation_in("chosen", row, field, tally) if "chosen" in row.values else None) or []
        whole = [turn for turn in chosen[:-1] if turn["content"]]
        lone = whole and not is_asked(row.values)
        asked = with_system(row, whole, field) if lone else asked_in(row, field, tally)
        yield _first_question(row, joined(asked, whole) or asked, tally)


def _first_messages(rows: Rows, field: str, tally: Counter[str]) -> Iterator[PromptRow]:
    for row in rows:
        messages = with_system(row, messages_in(row, field, tally), field)
        if not any(message["role"] == "user" for message in messages):
            raise bad_data(field, row.where, "no message is from the user: there is no prompt in it")
        yield _first_question(row, messages, tally)


def _first_question(row: Row, messages: Sequence[Message], tally: Counter[str]) -> PromptRow:
    """The first question with the system message at its head; questions after it are counted (`later_turns`)."""
    asked = [place for place, message in enumerate(messages) if message["role"] == "user"]
    tally["later_turns"] += len(asked) > 1
    system = [message for message in messages if message["role"] == "system"]
    return {"id": given_id(row), "prompt": conversation_text([*system, messages[asked[0]]])}


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
