"""Scores of judgements: what a critique states, what tokens weigh, what samples average to; or none.

A critique is read as a person reads it: it reasons first, so the last statement counts, and only on the judge's own
scale. What may mean two numbers is no score: a wrong score is learnt from, a missing one is None and counted. Pure, and
free of every setting's name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

from selfreward_steps.contract import ScoreRange
from selfreward_steps.judging.plain_text import plain_text

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBER = rf"(?:[-−+]?\d+(?:\.\d+)?|(?:{'|'.join(_WORDS)})\b)"
_B = r"[^\S\n]"
"""A blank within the line: what stands on the next line belongs to the next line."""
_ASIDE = rf"(?:{_B}*\([^()\n]{{0,40}}\)|{_B}+out{_B}+of{_B}+\d+|{_B}*/{_B}*\d+)?"
_VALUE = rf"(?P<gap>[\s(]*)(?P<value>{_NUMBER})"


def _label(words: str) -> re.Pattern[str]:
    """`LABEL: 4`, `LABEL (out of 5) = 4`; at the beginning of a line also `LABEL 4`, `LABEL – 4`, and a heading."""
    return re.compile(
        rf"(?:\b(?:{words})\b{_ASIDE}(?:{_B}+is)?{_B}*[:=|]"
        rf"|^[^\w\n]*(?:(?:final|total|overall|my){_B}+)*(?:{words})\b{_ASIDE}"
        rf"(?:{_B}+[-–—](?={_B})|{_B}+(?=\d)|{_B}*(?=\n))){_VALUE}",
        re.IGNORECASE | re.MULTILINE,
    )


_SCORE = _label("score")
_OTHER_LABELS = _label(rf"rating|grade|total(?:{_B}+points)?")
_WITHOUT_COLON = re.compile(rf"(?:\(RESULT\)|评分|得分|总分|分数|スコア|점수){_ASIDE}{_B}*[:=]?{_VALUE}")
"""Models trained as judges end with `[RESULT] 4`, and Chinese, Japanese and Korean ones with their own word."""
_POINTS = rf"{_B}*(?:points?\b|pts?\b|stars?\b|[分点점])?"
_TOP = (
    rf"(?:/|(?:out{_B}+)?\bof\b){_B}*(?:(?:an?|the){_B}+)?(?:(?:possible|maximum|total){_B}+)?(?:of{_B}+)?"
    rf"\(?{_B}*(?P<top>{_NUMBER})"
)
_SCALE = re.compile(
    rf"[)\s]*?{_POINTS}{_B}*[,(]?{_B}*"
    rf"(?:{_TOP}|on{_B}+an?{_B}+scale{_B}+(?:of|from){_B}+\d+{_B}*(?:to|[-–—]){_B}*(?P<end>\d+)"
    rf"|on{_B}+an?{_B}+(?P<points>\d+)[- ]point{_B}+scale)",
    re.IGNORECASE,
)
_TERM_WORDS = rf"(?!{_B}*(?:because|since|as|but|so|and|when|where)\b)(?:\([^()\n]*\)|[^-–−+=.!?;,()\n\d]){{0,60}}"
_SUM = re.compile(
    rf"(?:{_TERM_WORDS}[-–−+]{_B}*\(?\d+(?:\.\d+)?)+{_TERM_WORDS}={_B}*\(?(?P<total>{_NUMBER})", re.IGNORECASE
)
_AMBIGUOUS = re.compile(
    rf"[ )]*(?:%|,\d|\.\d|[½¼¾]|{_B}\d|(?:[-–—+±→]|\b(?:to|or|and)\b){_B}*(?:\d|(?:{'|'.join(_WORDS)}|an?{_B}half)\b))"
    rf"|(?!(?:points?|pts?|stars?)\b|[分点점])[^\W_]|{_TERM_WORDS}\+{_B}*\(?\d",
    re.IGNORECASE,
)
"""A range, a percentage, a fraction, a decimal comma, a sum without its total, or a number that is part of a word."""
_PROSE = re.compile(
    rf"\bscore{_B}+(?:is|of){_B}+(?:an?{_B}+)?{_VALUE}"
    rf"|\b(?:scor|rat|giv|award|assign|deserv|earn|merit|receiv|get)(?:e|es|s|ed|ing)?\b[^.!?\n\d]{{0,60}}?"
    rf"\b(?P<rated>{_NUMBER})(?={_POINTS}{_B}*\(?(?:/|out{_B}of)\b)",
    re.IGNORECASE,
)
_NOT_GIVEN = re.compile(
    r"n[’']t\b|\b(?:not|never|cannot|if|unless|requires?|needs?|needed|reach|achieve|short|than|instead|between|could"
    r"|should|maximum|perfect|full|highest|another|lower|higher|to (?:earn|get|receive|deserve|merit))\b",
    re.IGNORECASE,
)
"""A sentence that speaks of a score which the answer did not get."""
_SENTENCE = 300
"""Characters of a sentence that are looked at."""
_SENTENCE_END = re.compile(r"[!?\n]|\.(?!\d)")
_ONLY_SCALED = re.compile(rf"[\s(]*(?P<value>{_NUMBER})(?={_POINTS}{_B}*\(?{_TOP}[\s).]*\Z)", re.IGNORECASE)
_ONLY_NUMBER = re.compile(rf"[\s(]*(?P<value>{_NUMBER})(?={_POINTS}[\s).]*\Z)", re.IGNORECASE)

LEAST_MASS = 0.5
"""Probability that the score tokens must have together: below it the judge most likely says something else, and a mean
over the little that is left would be no judgement of its."""


def stated_score(critique: str, scores: ScoreRange) -> float | None:
    """The last `Score: N` of a critique: `4`, `**Score**: 3.5`, `Score: 4/5`, `Score: 1 (clear) + 1 (right) = 2`.

    A range, a percentage or another scale (`Score: 8/10`) is no score. Nor is an earlier score a substitute when the
    last one does not count: the critique has changed its mind. Where nothing is labelled as the score, a `Rating: 4`
    or a sentence such as "I give it 4 out of 5" is one if all that the critique says in this way agrees.
    """
    text = plain_text(critique)
    stated = [_meant(match, text, scores) for match in _SCORE.finditer(text)]
    if stated:
        return stated[-1]
    for found in (_labelled(text, scores), _said(text, scores), _bare(text, scores)):
        if values := set(found):
            return values.pop() if len(values) == 1 else None
    return None


def matched_score(critique: str, pattern: re.Pattern[str], scores: ScoreRange) -> float | None:
    """The first group of the last match of a user's pattern, as a number in range."""
    found = None
    for match in pattern.finditer(critique):
        found = match[1]
    try:
        return None if found is None else scores.clip_none(float(found.replace("−", "-")))
    except ValueError:
        return None


def expected_score(top: Iterable[tuple[str, float]], scores: ScoreRange) -> tuple[float | None, float]:
    """Mean of the score tokens' values weighted by their probability, and the probability they have together, their
    mass. No mean where that is below LEAST_MASS.

    Score tokens are the digits in range, with or without the blank that many vocabularies put before them. Longer
    numbers are none: to most tokenizers the first token of 10 is 1 (:class:`JudgeSettings` keeps the scale to digits).
    """
    weights = [
        (float(token), probability)
        for token, probability in ((token.strip(), probability) for token, probability in top)
        if re.fullmatch(r"\d", token, re.ASCII) and scores.clip_none(float(token)) is not None
    ]
    mass = math.fsum(probability for _, probability in weights)
    if mass < LEAST_MASS:
        return None, mass
    return math.fsum(value * probability for value, probability in weights) / mass, mass


def _labelled(text: str, scores: ScoreRange) -> Iterator[float | None]:
    for pattern in (_OTHER_LABELS, _WITHOUT_COLON):
        for match in pattern.finditer(text):
            yield _meant(match, text, scores)


def _said(text: str, scores: ScoreRange) -> Iterator[float | None]:
    """What sentences say of the score that is given."""
    for match in _PROSE.finditer(text):
        before = _SENTENCE_END.split(text[max(0, match.start() - _SENTENCE) : match.start()])[-1]
        after = _SENTENCE_END.split(text[match.end() : match.end() + _SENTENCE], maxsplit=1)[0]
        if not _NOT_GIVEN.search(f"{before} {match[0]} {after}"):
            group = "value" if match["value"] is not None else "rated"
            yield _on_scale(match[group], text[match.end(group) :].split("\n", 1)[0], scores)


def _bare(text: str, scores: ScoreRange) -> Iterator[float | None]:
    """A critique that is a number, or whose last line is one with its scale."""
    last = text.rstrip().rsplit("\n", 1)[-1]
    for match in (_ONLY_NUMBER.match(text), _ONLY_SCALED.match(last)):
        if match is not None:
            yield _on_scale(match["value"], match.string[match.end() :], scores)


def _meant(match: re.Match[str], text: str, scores: ScoreRange) -> float | None:
    rest = text[match.end("value") :].split("\n", 1)[0]
    if "\n" in match["gap"] and not re.fullmatch(rf"{_POINTS}{_B}*(?:\(?{_TOP})?[\s).]*", rest, re.IGNORECASE):
        # `Score:` and then a line that merely begins with a number, such as a list.
        return None
    if total := _SUM.match(rest):
        return _on_scale(total["total"], rest[total.end() :], scores)
    return _on_scale(match["value"], rest, scores)


def _on_scale(number: str, rest: str, scores: ScoreRange) -> float | None:
    """`number`, if what follows on its line leaves it one, on the judge's scale."""
    if scale := _SCALE.match(rest):
        top = scale["top"] or scale["end"] or scale["points"]
        return scores.clip_none(_value(number)) if _value(top) == scores.high else None
    return None if _AMBIGUOUS.match(rest) else scores.clip_none(_value(number))


def _value(number: str) -> float:
    word = number.lower()
    return float(_WORDS.index(word)) if word in _WORDS else float(number.replace("−", "-"))
