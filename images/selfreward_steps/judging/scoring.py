"""From what a judge says to a score, or to none: reading critiques, weighing tokens, averaging samples.

The score is the last one that the critique states (it reasons first), and only in range; anything else is None and is
counted, never turned into a score. Pure, and free of every setting's name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_NUMBER = r"[-−+]?\d+(?:\.\d+)?"
_STATED = re.compile(
    rf"""\bscore\b (?:\s*\([^()\n]{{0,40}}\))?      # Score (out of 5)
         [\s*_`"']* [:=]                            # **Score**:
         (?P<gap>[\s*_`"'<\[({{]*)                  # a placeholder such as <total points> is no number
         (?P<value>{_NUMBER})""",
    re.IGNORECASE | re.VERBOSE,
)
_CLOSING = r"[\s*_`\"'>\])}]*"
_SCALE = re.compile(rf"{_CLOSING}(?:/|out\s+of\b){_CLOSING}(?P<scale>\d+(?:\.\d+)?)", re.IGNORECASE)
_AMBIGUOUS = re.compile(r"\s*(?:%|,\d|(?:[-–—+]|\bto\b|\bor\b)\s*\d)", re.IGNORECASE)
_SUM = re.compile(rf"(?:\s*\+\s*\d+(?:\.\d+)?)+\s*=\s*\**(?P<value>{_NUMBER})")


@dataclass(frozen=True)
class ScoreRange:
    """The scores that count, both ends included."""

    low: float
    high: float

    def clip_none(self, score: float) -> float | None:
        """`score`, or None when it is out of range or not a number."""
        return score if self.low <= score <= self.high else None


def stated_score(critique: str, scores: ScoreRange) -> float | None:
    """The last `Score: N` of a critique: `4`, `**Score**: 3.5`, `Score: 4/5`, `Score: 1 + 1 + 1 = 3`.

    A range, a percentage or another scale (`Score: 8/10`) is no score. Nor is an earlier score a substitute when
    the last one does not count: the critique has changed its mind.
    """
    score = None
    for match in _STATED.finditer(critique):
        score = _meant(match, critique, scores)
    return score


def _meant(match: re.Match[str], critique: str, scores: ScoreRange) -> float | None:
    rest = critique[match.end() : match.end() + 80]
    if total := _SUM.match(rest):
        return scores.clip_none(_number(total["value"]))
    scale = _SCALE.match(rest)
    if scale is not None:
        return scores.clip_none(_number(match["value"])) if float(scale["scale"]) == scores.high else None
    if _AMBIGUOUS.match(rest):
        return None
    if "\n" in match["gap"] and rest.split("\n", 1)[0].strip(" \t*_`\"'.>])}"):
        # `Score:` and then a line that merely begins with a number, such as a list.
        return None
    return scores.clip_none(_number(match["value"]))


def _number(text: str) -> float:
    return float(text.replace("−", "-"))


def matched_score(critique: str, pattern: re.Pattern[str], scores: ScoreRange) -> float | None:
    """The first group of the last match of a user's pattern, as a number in range."""
    found = None
    for match in pattern.finditer(critique):
        found = match[1]
    try:
        return None if found is None else scores.clip_none(_number(found))
    except ValueError:
        return None


def expected_score(top: Iterable[tuple[str, float]], scores: ScoreRange) -> tuple[float | None, float]:
    """Mean of the score tokens' values weighted by their probability, and the probability they have together.

    Score tokens are whole numbers in range, with or without the blank that many vocabularies put before them. None
    where no alternative is one.
    """
    weights: list[tuple[float, float]] = [
        (float(token.strip()), probability)
        for token, probability in top
        if re.fullmatch(r"\s*\d{1,4}\s*", token, re.ASCII) and scores.clip_none(float(token.strip())) is not None
    ]
    mass = math.fsum(probability for _, probability in weights)
    if mass <= 0:
        return None, 0.0
    return math.fsum(value * probability for value, probability in weights) / mass, mass


def mean_score(samples: Sequence[float | None]) -> float | None:
    """Mean of the samples that have a score (paper section 2.2); None where none has."""
    known = [score for score in samples if score is not None]
    return math.fsum(known) / len(known) if known else None


def score_std(samples: Sequence[float | None]) -> float:
    """Standard deviation of the samples that have a score, of the population; 0 for fewer than two."""
    known = [score for score in samples if score is not None]
    if len(known) < 2:
        return 0.0
    mean = math.fsum(known) / len(known)
    return math.sqrt(math.fsum((score - mean) ** 2 for score in known) / len(known))
