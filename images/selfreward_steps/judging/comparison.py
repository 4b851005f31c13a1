"""Which of two answers is better: the question put to a judge, and its verdict. Pure."""

from __future__ import annotations

import re
from typing import Final

from selfreward_steps.judging.filling import filled
from selfreward_steps.judging.verdicts import last_verdict

QUESTION: Final = """\
Compare two responses of AI assistants to the same user. Judge how helpful, correct, relevant and well written they \
are; neither their order nor their length decides.

User: {prompt}

<response-a>
{first}
</response-a>

<response-b>
{second}
</response-b>

Give a short reason, and then conclude with a line of its own, in exactly this form:
Verdict: A, Verdict: B or Verdict: tie"""
"""What a judge is asked; it ends its reply with the verdict."""
_NAME = r"(?:the )?(?:response|answer|assistant|option|candidate|model)[ -]*"
_VERB = (
    r"is|was|wins?|has|had|gives?|does|answers|provides|offers|explains|by|over|because|since|as|for|with|and|or|but"
    r"|than|though|while|without|on|in|to"
)
_VOTE = re.compile(
    rf"\b(?i:{_NAME}(?P<named>[ab]))\b|(?<!\w)(?P<bare>B|A(?! +(?!(?:{_VERB})\b)[a-z]))\b|\A(?P<alone>[ab])\Z"
    r"|\b(?i:the (?P<place>first|second))\b"
)
"""A response by its letter or its place. A capital A before a noun is the article."""
_TIE = re.compile(r"\b(?i:(?P<tie>ties?|tied|draw)|equal(?:ly)?|even|neither|both|same)\b")
_WORDS = re.compile(rf"{_VOTE.pattern}|{_TIE.pattern}")
_EITHER = re.compile(r"\s*(?:,|/|\||\bor\b)\s*(?:or\b)?\s*", re.IGNORECASE)
_TOGETHER = re.compile(r"\s*(?:\band\b|&|=)\s*", re.IGNORECASE)
_TURN = re.compile(r"\b(?:but|however|yet|although|though)\b", re.IGNORECASE)
_LOSES = re.compile(r"\s(?:is|was)\s(?:\w+\s)?(?:worse|weaker|inferior)\b|\sloses\b|\s*<", re.IGNORECASE)
_NOT = re.compile(r"(?:(?:it|this) is |it's )?not\b", re.IGNORECASE)
_LEAD = re.compile(r"(?:(?:it|that)(?: is|'s| would be) |i (?:would )?(?:choose|prefer|pick) )?", re.IGNORECASE)


def comparison_message(prompt: str, first: str, second: str, question: str = QUESTION) -> str:
    """The user message."""
    return filled(question, prompt=prompt, first=first, second=second)


def stated_verdict(text: str) -> int | None:
    """1 when the first answer wins, -1 when the second does, 0 for a tie; None when no verdict is stated."""
    return last_verdict(text, _WORDS, _meant)


def outcome(forward: int | None, backward: int | None) -> int:
    """Of the answer that stood first in `forward` and second in `backward`: 1 wins, -1 loses.

    The two orders must agree; a disagreement, or a verdict that did not parse, is a tie (paper section 3.2).
    """
    if forward is None or backward is None or forward != -backward:
        return 0
    return forward


def result_score(result: int) -> float:
    """A result as points for whom it is about: 1 for a win, ½ for a tie, 0 for a loss."""
    return (1 + result) / 2


def is_swayed(forward: int | None, backward: int | None) -> bool:
    """Whether the judge chose the same place in both orders: that says more of the judge than of the answers."""
    return forward is not None and forward == backward and forward != 0


def _meant(said: str) -> int | None:
    votes, tie = list(_VOTE.finditer(said)), _TIE.search(said)
    if _NOT.match(said) or not (votes or tie):
        return None
    if tie is not None and (not votes or tie.start() < votes[0].start()):
        return _tied(said, tie, votes)
    signs = {_sign(vote) for vote in votes}
    first = votes[0]
    following = min((each.start() for each in (*votes[1:], tie) if each is not None), default=len(said))
    between = said[first.end() : following]
    if _EITHER.fullmatch(between):
        return None
    if _TOGETHER.fullmatch(between):
        return 0 if tie is not None or "=" in between else None
    if len(signs) > 1 and (_TURN.search(between) or first.start() != _start(said)):
        return None
    return -_sign(first) if _LOSES.match(said, first.end()) else _sign(first)


def _tied(said: str, tie: re.Match[str], votes: list[re.Match[str]]) -> int | None:
    """`a tie`; `both are good, but B is clearer` is a vote, and `tie or B` is nothing."""
    if not votes:
        return 0
    between = said[tie.end() : votes[0].start()]
    if _EITHER.fullmatch(between):
        return None
    signs = {_sign(vote) for vote in votes}
    return signs.pop() if len(signs) == 1 and tie["tie"] is None and _TURN.search(between) else 0


def _start(said: str) -> int:
    """Where a sentence that names its choice first names it."""
    lead = _LEAD.match(said)
    return lead.end() if lead else 0


def _sign(vote: re.Match[str]) -> int:
    name = vote["named"] or vote["bare"] or vote["alone"] or vote["place"]
    return 1 if name.lower() in ("a", "first") else -1
