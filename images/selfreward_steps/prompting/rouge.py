"""ROUGE-L between one text and a growing pool, fast enough to compare thousands of prompts with thousands.

The same numbers as the rouge-score package's (tests compare them bit for bit), whose scorer takes milliseconds a pair:
here a pair is only scored when the words the two share could carry it over the limit.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import LCSseq

from selfreward_steps.prompting.words import words_of

_SLACK = 1e-9
"""The bound must never lose a pair to rounding."""


def rouge_l(first: Sequence[str], second: Sequence[str]) -> float:
    """F-measure of the longest common subsequence of two word sequences; 0 when either is empty."""
    return _f_measure(LCSseq.similarity(first, second), len(first), len(second))


class RougePool:
    """Texts seen so far, by word, so that only near ones are looked at."""

    def __init__(self) -> None:
        self._texts: list[list[str]] = []
        self._lengths = array("i")
        self._holders: dict[tuple[str, int], array[int]] = {}
        """Which texts hold a word at least so many times: together they give the size of a multiset intersection."""

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, text: str) -> None:
        """Put one text into the pool, to be compared with every later one."""
        words = words_of(text)
        for key in _numbered(words):
            self._holders.setdefault(key, array("i")).append(len(self._texts))
        self._texts.append(words)
        self._lengths.append(len(words))

    def is_near(self, text: str, limit: float) -> bool:
        """Whether any text of the pool has a ROUGE-L F-measure above `limit` with this one."""
        words = words_of(text)
        return any(rouge_l(self._texts[index], words) > limit for index in self._candidates(words, limit))

    def _candidates(self, words: Sequence[str], limit: float) -> list[int]:
        """Texts that could be above the limit: a common subsequence is no longer than the common words are many."""
        holders = [self._holders[key] for key in _numbered(words) if key in self._holders]
        if not holders:
            return []
        shared = np.bincount(np.concatenate([np.frombuffer(each, np.int32) for each in holders]))
        lengths = np.array(self._lengths[: len(shared)], np.int32)
        # F = 2 L / (m + n): precision and recall have the same numerator.
        bound = 2 * shared / (lengths + len(words))
        return [int(index) for index in np.flatnonzero(bound > limit - _SLACK)]


def _numbered(words: Sequence[str]) -> list[tuple[str, int]]:
    """Each occurrence of a word with its number, so that sets of them intersect as multisets do."""
    seen: Counter[str] = Counter()
    numbered = []
    for word in words:
        seen[word] += 1
        numbered.append((word, seen[word]))
    return numbered


def _f_measure(common: int, first: int, second: int) -> float:
    """In rouge-score's own order of operations, so that rounding falls the same way."""
    if common == 0:
        return 0.0
    precision, recall = common / second, common / first
    return 2 * precision * recall / (precision + recall)
