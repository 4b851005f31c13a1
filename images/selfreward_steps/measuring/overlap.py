"""Overlap of prompts to measure on with prompts that were learnt: when two are the same, and what a conversation asks.

Pure. Words decide, and not how they are written; a paraphrase is another prompt.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from selfreward_steps.rows import Message, RankingRow, first_exchange


def comparable(prompt: str) -> str:
    """The prompt as it is compared: Unicode's compatibility form without case, punctuation and runs of white space.

    A prompt of punctuation alone stays as it is.
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", prompt).casefold())
    letters = "".join(" " if unicodedata.category(char)[0] == "P" else char for char in plain)
    return " ".join(letters.split()) or " ".join(plain.split())


def questions_in(messages: Sequence[Message]) -> Iterator[str]:
    """Each question of a conversation, and the first with the system message at its head, as a prompt has it."""
    first = [turn["content"] for turn in first_exchange(messages) if turn["role"] != "assistant"]
    yield "\n\n".join(first)
    yield from (turn["content"] for turn in messages if turn["role"] == "user")


def asked_in(row: RankingRow) -> set[str]:
    """What a training on the row's conversation may have seen as its prompt, as it is compared."""
    return comparables((row["prompt"], *questions_in(row.get("messages", []))))


def comparables(prompts: Iterable[str]) -> set[str]:
    """The prompts as they are compared; none that is empty."""
    return {comparable(prompt) for prompt in prompts} - {""}
