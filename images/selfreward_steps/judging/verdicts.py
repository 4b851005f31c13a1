"""Which words of a reply are its verdict: those of its last statement. Pure.

What they mean is for whoever asked the question.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from selfreward_steps.judging.plain_text import plain_text

_STATEMENT = re.compile(
    r"\b(?:verdict|winner)\b[^\S\n]*(?:is\b|[:=–—-]|\n)\s*"
    r"(?P<verdict>(?:(?![.;!?][^\n]*\b(?:verdict|winner)\b)[^\n])+)"
    r"|\(\((?P<brackets>[^()\n]{1,20})\)\)",
    re.IGNORECASE,
)
_AGAIN = re.compile(r"\b(?:verdict|winner)\b\s*[:=]?", re.IGNORECASE)

V = TypeVar("V")


def last_verdict(reply: str, words: re.Pattern[str], meaning: Callable[[str], V | None]) -> V | None:
    """What the last `Verdict: …` or `[[…]]` that speaks of a verdict at all means, or a last line of nothing else.

    `words` are those a verdict may have: "this verdict is final" has none of them and is passed over. `meaning` gets
    the line after the label, and answers None where it says two things or nothing.
    """
    text = plain_text(reply)
    for match in reversed(list(_STATEMENT.finditer(text))):
        said = _clean(match["verdict"] or match["brackets"])
        if words.search(said):
            return meaning(said)
    line = reply.rstrip().rsplit("\n", 1)[-1].strip()
    last = _clean(plain_text(line))
    # A letter and nothing else is more likely the first word of a reply that was cut off.
    return meaning(last) if words.fullmatch(last) and len(line) > 1 else None


def _clean(words: str) -> str:
    """Without brackets, and without the label said again (`Verdict: A or Verdict: B`)."""
    return " ".join(_AGAIN.sub(" ", words.replace("(", " ").replace(")", " ")).split()).strip(" .:;!-")
