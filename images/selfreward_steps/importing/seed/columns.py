"""The known shapes of a row: which of them its columns have, and the checked text in it.

Pure. Every refusal names the field, the row and the column.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from selfreward_steps.contract import DataFormat
from selfreward_steps.importing.seed.reading import Row, bad_data
from selfreward_steps.importing.seed.transcripts import is_transcript, transcript
from selfreward_steps.rows import Message

PROMPT: Final = ("prompt", "prompt_text", "instruction", "question", "input")
ANSWER: Final = ("response", "response_text", "completion", "answer", "output")
CHATS: Final = ("messages", "conversations", "conversation")
ANSWERS: Final = ("answers", "completions")
SCORE: Final = ("score", "quality_score", "rating", "overall_score", "helpfulness")


@dataclass(frozen=True)
class Compared:
    """The columns of two answers and of which of them people prefer."""

    first: str
    second: str
    preference: str
    labels: tuple[float, ...] = ()
    """What the preference may be, the second answer's word first; where empty, it is below 0 for the first answer and
    above for the second."""

    def likes_second(self, preference: float | None) -> float | None:
        """Above 0 for the second answer, below for the first, 0 for neither; None where it says nothing of that."""
        if preference is None or not self.labels:
            return preference
        return 1 - 2 * self.labels.index(preference) if preference in self.labels else None


COMPARED: Final = (
    Compared("response1", "response2", "overall_preference"),
    Compared("response_1", "response_2", "preference_strength"),
    Compared("human_ref_A", "human_ref_B", "labels", (0, 1)),
)
"""As in HelpSteer 3 and 2, and in SHP."""
_THOUGHTS: Final = ("reasoning_content", "reasoning", "thinking")
_ROLES: Final = {"human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant", "system": "system"}


def first_of(row: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of `names` that is a column."""
    return next((name for name in names if name in row), None)


def is_messages(row: Mapping[str, Any]) -> bool:
    return first_of(row, CHATS) is not None


def is_alpaca(row: Mapping[str, Any]) -> bool:
    answered = first_of(row, ANSWER) is not None and "critique" not in row
    return first_of(row, PROMPT) is not None and (answered or "instances" in row)


def is_oasst(row: Mapping[str, Any]) -> bool:
    flat = {"message_id", "parent_id", "role", "text"} <= row.keys()
    return flat or ("message_tree_id" in row and isinstance(row.get("prompt"), Mapping))


def is_flat_ranked(row: Mapping[str, Any]) -> bool:
    """One answer a row, with a rank or score. Alpaca's own columns with a score are Alpaca's."""
    rated = first_of(row, ("rank", *SCORE)) is not None and not {"critique", "instruction"} & row.keys()
    return rated and first_of(row, PROMPT) is not None and first_of(row, ANSWER) is not None


def is_ranked(row: Mapping[str, Any]) -> bool:
    nested = first_of(row, ANSWERS) is not None and is_asked(row)
    return nested or is_pair(row) or compared_in(row) is not None or is_flat_ranked(row)


def is_asked(row: Mapping[str, Any]) -> bool:
    """Whether a prompt is there; `context` is one where it is a list of messages, `history` where it is a text."""
    turns = isinstance(row.get("context"), list) or isinstance(row.get("history"), str)
    return first_of(row, PROMPT) is not None or turns


def compared_in(row: Mapping[str, Any]) -> Compared | None:
    """The columns of two compared answers and of the preference."""
    if not is_asked(row):
        return None
    return next((each for each in COMPARED if row.keys() >= {each.first, each.second, each.preference}), None)


def is_pair(row: Mapping[str, Any]) -> bool:
    """A chosen and a rejected answer, to a prompt of its own or as whole conversations."""
    if not {"chosen", "rejected"} <= row.keys():
        return False
    both = [row["chosen"], row["rejected"]]
    return first_of(row, PROMPT) is not None or all(isinstance(each, list) or is_transcript(each) for each in both)


def is_eft(row: Mapping[str, Any]) -> bool:
    return {"prompt", "response", "critique", "score"} <= row.keys()


def is_mt_bench(row: Mapping[str, Any]) -> bool:
    return {"question_id", "turns"} <= row.keys()


_SHAPES: Final[Mapping[DataFormat, tuple[Callable[[Mapping[str, Any]], bool], str]]] = {
    DataFormat.MESSAGES: (is_messages, "messages"),
    DataFormat.ALPACA: (is_alpaca, "instruction, input, output"),
    DataFormat.OASST: (is_oasst, "message_id, parent_id, role, text, rank"),
    DataFormat.RANKED: (is_ranked, "prompt, answers (or prompt, response, score; or prompt, chosen, rejected)"),
    DataFormat.EFT: (is_eft, "prompt, response, critique, score"),
    DataFormat.MT_BENCH: (is_mt_bench, "question_id, turns"),
}


def recognise(row: Row, given: DataFormat, allowed: tuple[DataFormat, ...], field: str) -> DataFormat:
    """The first allowed shape that `row` has, or `given` if it has that one; raises PermanentError BadSeedData."""
    if given is not DataFormat.AUTO and given not in allowed:
        names = ", ".join(kind.value for kind in (DataFormat.AUTO, *allowed))
        raise bad_data(f"{field}.format", given.value, f"it cannot be read as {field}: use one of {names}")
    wanted = allowed if given is DataFormat.AUTO else (given,)
    for kind in wanted:
        if _SHAPES[kind][0](row.values):
            return kind
    expected = " | ".join(_SHAPES[kind][1] for kind in wanted)
    raise bad_data(field, row.where, f"found columns {', '.join(row.values) or '(none)'}; expected {expected}")


def recognise_prompts(row: Row, given: DataFormat, allowed: tuple[DataFormat, ...], field: str) -> DataFormat:
    """As `recognise`, where answers are not needed: a prompt column alone is enough, where there are no messages, which
    may hold a system message too."""
    if (
        given is DataFormat.AUTO
        and not is_messages(row.values)
        and isinstance(row.values.get(first_of(row.values, PROMPT) or ""), str)
    ):
        return DataFormat.ALPACA
    return recognise(row, given, allowed, field)


def text_in(row: Row, column: str | None, field: str, *, empty: bool = False) -> str:
    """The text of a column; raises BadSeedData when it is missing, not text, or blank (unless `empty`)."""
    if column is None or column not in row.values:
        raise bad_data(field, row.where, f"found columns {', '.join(row.values)}: one for the text is missing")
    return checked_text(row.values[column], column, row, field, empty=empty)


def checked_text(value: object, column: str, row: Row, field: str, *, empty: bool = False) -> str:
    """`value` if it is text that can be written as UTF-8 and trained on."""
    if empty and value is None:
        return ""
    if not isinstance(value, str):
        raise bad_data(field, row.where, f"{column} is {_shown(value)}, expected text")
    if not empty and not value.strip():
        raise bad_data(field, row.where, f"{column} is empty: remove the row or fill it in")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise bad_data(field, row.where, f"{column} holds half a surrogate pair, which is not Unicode text: correct it")
    return value


def number_in(value: object, column: str, row: Row, field: str) -> float | None:
    """A finite number; None for null and NaN, which is how tables write it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        raise bad_data(field, row.where, f"{column} is {_shown(value)}, expected a number")
    return float(value)


def messages_in(row: Row, field: str, tally: Counter[str]) -> list[Message]:
    """The checked messages of the row's chat, in any order."""
    column = first_of(row.values, CHATS) or "messages"
    return messages_of(row.values.get(column), column, row, field, tally)


def messages_of(found: object, column: str, row: Row, field: str, tally: Counter[str]) -> list[Message]:
    """The checked messages of a list: objects with role and content, objects with an input and its output, or texts of
    user and assistant in turn. Counts `thoughts_left_out`: reasoning that stands beside the content."""
    if not isinstance(found, list) or not found:
        raise bad_data(field, row.where, f"{column} is {_shown(found)}, expected a list of messages")
    if all(isinstance(item, str) for item in found):
        found = [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(found)]
    messages: list[Message] = []
    for index, item in enumerate(found):
        messages += _messages(item, f"{column}[{index}]", row, field)
        tally["thoughts_left_out"] += isinstance(item, Mapping) and any(item.get(name) for name in _THOUGHTS)
    if any(message["role"] == "system" for message in messages[1:]):
        raise bad_data(field, row.where, f"{column} has a system message among its turns: put it first")
    return messages


def conversation_in(column: str, row: Row, field: str, tally: Counter[str]) -> list[Message] | None:
    """The turns in `column` if it holds a conversation, as messages, as one message or as a transcript; else None."""
    value = row.values[column]
    if is_transcript(value):
        return transcript(checked_text(value, column, row, field))
    if isinstance(value, Mapping):
        value = [value]
    return messages_of(value, column, row, field, tally) if isinstance(value, list) else None


def until_answer(messages: list[Message], tally: Counter[str]) -> list[Message]:
    """`messages` without what follows the assistant's last turn (`cut_after_answer`); none when it has no turn."""
    last = max((place for place, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
    tally["cut_after_answer"] += 0 <= last < len(messages) - 1
    return messages[: last + 1]


def checked_chat(messages: list[Message], row: Row, field: str) -> list[Message]:
    """A chat to learn from: an optional system message, then user and assistant in turn, the last the assistant's."""
    if not messages:
        raise bad_data(field, row.where, "no message is from the assistant: there is nothing to learn")
    turns = messages[1:] if messages[0]["role"] == "system" else messages
    for index, message in enumerate(turns):
        expected = ("user", "assistant")[index % 2]
        if message["role"] != expected:
            problem = f"message {index + 1} is from {message['role']!r}, expected {expected!r}: turns must alternate"
            raise bad_data(field, row.where, problem)
    return messages


def _messages(item: object, column: str, row: Row, field: str) -> list[Message]:
    if not isinstance(item, Mapping):
        raise bad_data(field, row.where, f"{column} is {_shown(item)}, expected role and content")
    if {"input", "output"} <= item.keys():
        texts = [checked_text(item[name], f"{column}.{name}", row, field) for name in ("input", "output")]
        return [Message(role="user", content=texts[0]), Message(role="assistant", content=texts[1])]
    return [_message(item, column, row, field)]


def _message(item: Mapping[str, Any], column: str, row: Row, field: str) -> Message:
    role = item.get("role", item.get("from"))
    if not isinstance(role, str) or role not in _ROLES:
        raise bad_data(field, row.where, f"{column}.role is {_shown(role)}, expected user, assistant or system")
    content = item.get("content", item.get("value"))
    if isinstance(content, list):
        content = _joined(content, column, row, field)
    text = checked_text(content, f"{column}.content", row, field)
    if item.get("tool_calls"):
        raise bad_data(field, row.where, f"{column} calls tools, which cannot be kept: remove the row")
    return {"role": _ROLES[role], "content": text}


def _joined(parts: list[object], column: str, row: Row, field: str) -> str:
    """Content in parts, as the chat APIs write it; images and the like are refused."""
    texts = [part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None for part in parts]
    if None in texts:
        raise bad_data(field, row.where, f"{column}.content has a part that is not text: remove the row")
    return "".join(str(text) for text in texts)


def _shown(value: object) -> str:
    return "null" if value is None else repr(value)[:60]
