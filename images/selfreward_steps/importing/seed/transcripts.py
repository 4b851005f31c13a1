"""Conversations written as one text, as Anthropic publishes them: `\n\nHuman: … \n\nAssistant: …`. Pure."""

from __future__ import annotations

import re
from typing import Final

from selfreward_steps.rows import Message

_SPEAKER: Final = re.compile(r"\n\n(Human|Assistant):")
_ROLES: Final = {"Human": "user", "Assistant": "assistant"}


def is_transcript(value: object) -> bool:
    """Whether it is a text that begins with the human's turn and in which the assistant has one."""
    return isinstance(value, str) and value.lstrip().startswith("Human:") and "\n\nAssistant:" in value


def is_open_transcript(text: str) -> bool:
    """Whether it is a transcript that ends where the assistant is to answer."""
    return is_transcript(text) and text.rstrip().endswith("\n\nAssistant:")


def has_silent_turn(value: object) -> bool:
    """Whether it is a transcript in which somebody's turn says nothing."""
    return isinstance(value, str) and is_transcript(value) and not all(turn["content"] for turn in transcript(value))


def transcript(text: str) -> list[Message]:
    """The turns, in order, without the blank around each; a turn in which nothing is said is empty."""
    _, *parts = _SPEAKER.split("\n\n" + text.strip())
    turns = zip(parts[::2], parts[1::2], strict=True)
    return [Message(role=_ROLES[who], content=said.strip()) for who, said in turns]
