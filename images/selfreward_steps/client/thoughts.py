"""What a reasoning model thinks before it answers, and the answer without it.

A server with a reasoning parser keeps the two apart; any other sends both as one text. Thoughts are no part of an
answer: in a prompt, a candidate or a judgement they would be learnt, judged and read as if they had been said. Pure.
"""

from __future__ import annotations

import re

_MARKS = (
    ("<think>", "</think>"),  # DeepSeek-R1, Qwen3, SmolLM3, Phi-4-reasoning and most others
    ("<thought>", "</thought>"),  # EXAONE Deep
    ("[THINK]", "[/THINK]"),  # Magistral
    ("<seed:think>", "</seed:think>"),  # Seed-OSS
    ("<|begin_of_thought|>", "<|end_of_thought|>"),  # Sky-T1, Bespoke-Stratos
)


def without_thoughts(text: str) -> str:
    """What stands after the thoughts that `text` begins with: the whole of it when there are none, nothing when they
    never end.

    Only thoughts at the beginning are any; a mark further on is what the answer speaks of. Where the chat template has
    opened them already, the text has their end alone, which ends its line.
    """
    for opened, closed in _MARKS:
        if text.lstrip().startswith(opened):
            return without_thoughts(text.partition(closed)[2].lstrip())
        end = re.search(rf"{re.escape(closed)}[^\S\n]*(?:\n|\Z)", text)
        if end is not None and opened not in text[: end.start()]:
            return text[end.end() :].lstrip()
    return text
