"""Self-Instruct's filters of new prompts (arXiv 2212.10560), each drop with its reason.

Pure but for the pool it is given, which it must not change.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from selfreward_steps.client.thoughts import without_thoughts
from selfreward_steps.contract import PromptSettings
from selfreward_steps.prompting.rouge import RougePool
from selfreward_steps.prompting.words import length_in_words

_KEYWORDS = re.compile(
    r"\b(?:images?|pictures?|graphs?|diagrams?|flowcharts?|maps?|draw|plot|files?|videos?|audio|music|go to)\b",
    re.IGNORECASE,
)
"""What a model that reads and writes text alone cannot be given or asked for."""
_PREAMBLE = re.compile(
    r"^(?:(?:sure|certainly|of course|okay|ok)\b[^\n]{0,40}?[!.,:]\s*)?"
    r"(?:i(?:'ll| will) (?:create|write|provide|give|come up)\b[^\n.:]{0,60}[.:]\s*)?"
    r"(?:here it is\s*:\s*"
    r"|here(?:'s| is| are)\s+(?:\w+\s+){0,3}(?:tasks?|instruction|prompt|question|one)\b[^\n:]{0,60}:\s*)?"
    r"(?:\W{0,4}(?:new\s+)?(?:task|instruction|prompt|question)\s*\d*\s*\W{0,2}(?::\W{0,4}?\s+|：\s*))?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d{1,2}(?:[.)]\s+|[、．]\s*)")
_NEXT_NUMBER = re.compile(r"\n\s*\d{1,2}(?:[.)]\s|[、．])")
_META = (
    r"(?:(?:(?:in )?th(?:is|ese)|the|your)\s+(?:new\s+)?(?:tasks?|prompts?|instructions?|challenge)\b"
    r"|this is an?\s+(?:new\s+)?(?:task|prompt|challenge)\b|as an ai\b|note:"
    r"|i(?:'m| am) (?:an ai|ready|here|happy|glad|designed|a helpful|sorry)\b"
    r"|i(?:'ll| will) (?:create|write|provide|give)\b)"
)
_TALK = re.compile(_META, re.IGNORECASE)
"""How a model talks about what it was asked for instead of doing it."""
_AFTER = re.compile(
    rf"\n\s*\W{{0,4}}(?:task|instruction)\s*\d+\s*\W{{0,2}}:|\n\s*\n\s*{_META}"
    r"|\n\s*\W{0,4}(?:a|answer|assistant|response|output|solution)\W{0,2}:",
    re.IGNORECASE,
)
"""Where a completion goes on after the prompt: the next task, talk about tasks, or the answer."""
_QUOTES = {'"': '"', "“": "”", "«": "»", "„": "“", "「": "」", "『": "』", "`": "`", "'": "'", "*": "*"}
_OPENING = "¿¡"
"""Punctuation that Spanish sentences begin with."""


class Rejection(StrEnum):
    """Why a text is no new prompt."""

    EMPTY = "empty"
    TOO_SHORT = "tooShort"
    TOO_LONG = "tooLong"
    CUT_OFF = "cutOff"
    """Generation ended at `maxTokens`, in the middle of the prompt."""
    TALK = "talksAboutTasks"
    """Speaks of the task it was to write (small chat models do)."""
    PUNCTUATION = "startsWithPunctuation"
    """Or with a sign: a text begins with a letter or a digit of any language."""
    KEYWORD = "keyword"
    DUPLICATE = "duplicate"
    SIMILAR = "similar"
    REFUSED = "refused"
    """The server did not take the request: the demonstrations are too long for it."""


class Pool:
    """All prompts there are: the seed's, those of earlier iterations, and the new ones."""

    def __init__(self) -> None:
        self._exact: set[str] = set()
        self._rouge = RougePool()

    def __len__(self) -> int:
        return len(self._exact)

    def add(self, prompt: str) -> None:
        """Put one prompt in; twice is once."""
        key = _folded(prompt)
        if key not in self._exact:
            self._exact.add(key)
            self._rouge.add(prompt)

    def has(self, prompt: str) -> bool:
        """Whether the very prompt is there, letter case and blanks aside."""
        return _folded(prompt) in self._exact

    def is_near(self, prompt: str, limit: float) -> bool:
        """Whether ROUGE-L with any is above `limit`."""
        return self._rouge.is_near(prompt, limit)


@dataclass(frozen=True)
class Draft:
    """What may become a prompt; `cut_off` when its end is missing."""

    text: str
    cut_off: bool = False


def new_prompt(completion: str, *, cut_off: bool = False) -> Draft:
    """The one prompt in a completion: without thoughts, preamble, numbering and quotes, and without what comes after.

    Where something comes after it, it is whole even if the completion was `cut_off`.
    """
    text = _PREAMBLE.sub("", without_thoughts(completion).strip(), count=1)
    if number := _NUMBER.match(text):
        # A whole list of tasks; one in the middle of a task is part of it.
        text = text[number.end() :]
        text, *more = _NEXT_NUMBER.split(text, maxsplit=1)
        cut_off = cut_off and not more
    text, *more = _AFTER.split(text, maxsplit=1)
    text = text.strip()
    while len(text) > 2 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return Draft(text, cut_off and not more)


def rejection(draft: Draft, *, settings: PromptSettings, pool: Pool) -> Rejection | None:
    """Why `draft` is dropped, None when it is kept. Cheap reasons first."""
    prompt = draft.text
    if not prompt:
        return Rejection.EMPTY
    if draft.cut_off:
        return Rejection.CUT_OFF
    words = length_in_words(prompt)
    if words < settings.min_words:
        return Rejection.TOO_SHORT
    if words > settings.max_words:
        return Rejection.TOO_LONG
    if prompt[0] not in _OPENING and unicodedata.category(prompt[0])[0] not in "LN":
        return Rejection.PUNCTUATION
    if _TALK.match(prompt):
        return Rejection.TALK
    if _KEYWORDS.search(prompt):
        return Rejection.KEYWORD
    if pool.has(prompt):
        return Rejection.DUPLICATE
    return Rejection.SIMILAR if pool.is_near(prompt, settings.rouge_l_max) else None


def _folded(prompt: str) -> str:
    return " ".join(prompt.casefold().split())
