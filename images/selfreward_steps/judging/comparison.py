"""Which of two answers is better: the question put to a judge, and its verdict. Pure."""

from __future__ import annotations

import re

_QUESTION = """\
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
_VERDICT = re.compile(r"(?i)\bverdict\b[\s*_`:=]*(a|b|tie)\b")
_MEANING = {"a": 1, "b": -1, "tie": 0}


def comparison_message(prompt: str, first: str, second: str) -> str:
    """The user message. What stands in the texts is never taken for a placeholder."""
    values = {"{prompt}": prompt, "{first}": first, "{second}": second}
    return re.sub(r"\{prompt\}|\{first\}|\{second\}", lambda match: values[match[0]], _QUESTION)


def stated_verdict(text: str) -> int | None:
    """1 when the first answer wins, -1 when the second does, 0 for a tie; None when no verdict is stated."""
    found = _VERDICT.findall(text)
    return _MEANING[found[-1].lower()] if found else None


def outcome(forward: int | None, backward: int | None) -> int:
    """Of the answer that stood first in `forward` and second in `backward`: 1 wins, -1 loses.

    The two orders must agree; a disagreement, or a verdict that did not parse, is a tie (paper section 3.2).
    """
    if forward is None or backward is None or forward != -backward:
        return 0
    return forward
