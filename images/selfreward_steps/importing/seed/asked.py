"""What was asked of the assistant in one row: the turns before its answer, whichever columns they stand in.

A system message may be a message or a column, earlier turns may be messages or a history of pairs. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from selfreward_steps.importing.seed.columns import PROMPT, checked_text, first_of, messages_of, text_in
from selfreward_steps.importing.seed.reading import Row, bad_data
from selfreward_steps.importing.seed.transcripts import is_open_transcript, transcript
from selfreward_steps.rows import Message

_SYSTEM: Final = ("system", "system_prompt", "system_message")
_INPUT: Final = ("input", "context")
_LABEL: Final = {"user": "User", "assistant": "Assistant", "system": "System"}


def asked_in(row: Row, field: str, tally: Counter[str]) -> list[Message]:
    """The turns that the prompt, input, history and system columns hold, the last the user's."""
    column = first_of(row.values, (*PROMPT, "context", "history"))
    if column is not None and isinstance(row.values[column], list):
        turns = messages_of(row.values[column], column, row, field, tally)
    else:
        text = text_in(row, column, field)
        if is_open_transcript(text):
            turns = [turn for turn in transcript(text) if turn["content"]]
        else:
            turns = [Message(role="user", content=_with_input(text, column, row, field))]
    earlier = [] if column == "history" else _history(row, field, tally)
    return ends_with_user(with_system(row, [*earlier, *turns], field), row, field)


def ends_with_user(turns: list[Message], row: Row, field: str) -> list[Message]:
    """`turns`; raises BadSeedData unless the user has the last word in them, which an answer then follows."""
    if not turns or turns[-1]["role"] != "user":
        raise bad_data(field, row.where, "the answer follows no message of the user: correct or remove the row")
    return turns


def with_system(row: Row, turns: list[Message], field: str) -> list[Message]:
    """`turns` with the row's system column in front, if it has one that says something they do not begin with."""
    column = next((name for name in _SYSTEM if not _blank(row.values.get(name))), None)
    if column is None:
        return turns
    system = Message(role="system", content=checked_text(row.values[column], column, row, field))
    if turns and turns[0]["role"] == "system":
        if not _same(turns[:1], [system]):
            raise bad_data(field, row.where, f"{column} and its first message are different system messages: keep one")
        return turns
    return [system, *turns]


def conversation_text(turns: Sequence[Message]) -> str:
    """The turns as one text, for what reads a prompt as text, such as a judge.

    A lone question is itself. The system message stands at the head of the first question, as in training for chat
    templates that take none; each later turn has its speaker before it.
    """
    system = [turn["content"] for turn in turns if turn["role"] == "system"]
    first, *rest = [turn for turn in turns if turn["role"] != "system"]
    return "\n\n".join([*system, first["content"], *(f"{_LABEL[turn['role']]}: {turn['content']}" for turn in rest)])


def joined(asked: Sequence[Message], before: Sequence[Message]) -> list[Message] | None:
    """One conversation of a row's prompt and of the turns that stand before an answer; None when they contradict.

    The turns may repeat the prompt, hold it among others, hold the end of it, or go on after it.
    """
    systems = {turn["content"].strip() for turn in (*asked, *before) if turn["role"] == "system"}
    system = [turn for turn in (*asked, *before) if turn["role"] == "system"][:1]
    prompt = [turn for turn in asked if turn["role"] != "system"]
    turns = [turn for turn in before if turn["role"] != "system"]
    if len(systems) > 1:
        return None
    if _holds(turns, prompt):
        return [*system, *turns]
    if _holds(prompt, turns) and _same(prompt[len(prompt) - len(turns) :], turns):
        return [*system, *prompt]
    return [*system, *prompt, *turns] if turns[0]["role"] == "assistant" else None


def _holds(turns: Sequence[Message], part: Sequence[Message]) -> bool:
    starts = range(len(turns) - len(part) + 1)
    return any(_same(turns[start : start + len(part)], part) for start in starts)


def _same(one: Sequence[Message], other: Sequence[Message]) -> bool:
    return [(turn["role"], turn["content"].strip()) for turn in one] == [
        (turn["role"], turn["content"].strip()) for turn in other
    ]


def _with_input(prompt: str, prompt_column: str | None, row: Row, field: str) -> str:
    column = first_of({name: row.values[name] for name in row.values if name != prompt_column}, _INPUT)
    given = text_in(row, column, field, empty=True) if column is not None else ""
    return f"{prompt}\n\n{given}" if given.strip() else prompt


def _history(row: Row, field: str, tally: Counter[str]) -> list[Message]:
    """Earlier turns: pairs of a question and its answer, or messages."""
    found = row.values.get("history")
    if _blank(found):
        return []
    if not isinstance(found, list):
        raise bad_data(field, row.where, f"history is {found!r:.60}, expected a list of pairs or of messages")
    if all(isinstance(item, Mapping) for item in found):
        return messages_of(found, "history", row, field, tally)
    return [turn for index, pair in enumerate(found) for turn in _pair(pair, f"history[{index}]", row, field)]


def _pair(pair: Any, column: str, row: Row, field: str) -> list[Message]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise bad_data(field, row.where, f"{column} is {pair!r:.60}, expected a question and its answer")
    texts = [checked_text(text, f"{column}[{place}]", row, field) for place, text in enumerate(pair)]
    return [Message(role="user", content=texts[0]), Message(role="assistant", content=texts[1])]


def _blank(value: object) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())
