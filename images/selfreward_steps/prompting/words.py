"""The words of a text in any language: what similarity compares, and how long a text is.

Chinese, Japanese, Thai, Lao, Burmese and Khmer write no spaces between words. Each of their characters is a word to
similarity, as in other uses of ROUGE for them, and a part of one to lengths. Pure.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_ASCII: Final = re.compile(r"[a-z0-9]+")
_IDEOGRAPHS: Final = (
    "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_SYLLABLES: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_UNSPACED: Final = re.compile(f"[{_IDEOGRAPHS}{_SYLLABLES}]")
_IDEOGRAPH: Final = re.compile(f"[{_IDEOGRAPHS}]")
IDEOGRAPHS_A_WORD: Final = 1.5
"""About so many characters make a word in Chinese and Japanese."""
LETTERS_A_WORD: Final = 4
"""About so many letters make a word in Thai and its neighbours, marks above and below not counted."""


def words_of(text: str) -> list[str]:
    """Runs of letters and digits with their marks, in lower case; each character alone where words have no spaces.

    On ASCII the same as the rouge-score package's, unstemmed.
    """
    text = text.lower()
    return _ASCII.findall(text) if text.isascii() else list(_words(unicodedata.normalize("NFC", text)))


def length_in_words(text: str) -> int:
    """How many words a text has: what stands between spaces, and an estimate where there are none."""
    unspaced = [char for char in text if _UNSPACED.match(char) and unicodedata.category(char)[0] == "L"]
    if not unspaced:
        return len(text.split())
    ideographs = sum(_IDEOGRAPH.match(char) is not None for char in unspaced)
    rest = [piece for piece in _UNSPACED.sub(" ", text).split() if any(char.isalnum() for char in piece)]
    return len(rest) + math.ceil(ideographs / IDEOGRAPHS_A_WORD + (len(unspaced) - ideographs) / LETTERS_A_WORD)


def _words(text: str) -> Iterator[str]:
    word = ""
    for char in text:
        kind = unicodedata.category(char)[0]
        joins = kind in "LN" and not (_UNSPACED.match(char) or _UNSPACED.match(word))
        if joins or (kind == "M" and word):
            word += char
        else:
            if word:
                yield word
            word = char if kind in "LN" else ""
    if word:
        yield word
