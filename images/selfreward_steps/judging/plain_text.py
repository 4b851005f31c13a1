"""What a judge writes without its typography: full-width signs, emphasis, quotes and brackets of every kind.

Models set the same words in bold, in code, in LaTeX or in brackets of their own; a person reads them alike. Pure.
"""

from __future__ import annotations

import re

_PLAIN: dict[int, int | str] = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Chinese and Japanese keyboards write `：４` for `:4`."""
_PLAIN |= {ord(sign): " " for sign in '\u3000\u00a0*_`"“”„«»「」『』$~≈'}
_PLAIN |= {ord(sign): "(" for sign in "[{【［｛"} | {ord(sign): ")" for sign in "]}】］｝"}
_COMMAND = re.compile(r"\\(?:boxed|text|textbf|mathbf|mathrm|[Ll]arge)\b|\\[\[\]()]")
_ELEMENT = re.compile(r"<(score|rating|verdict)>", re.IGNORECASE)
_TAG = re.compile(r"</?(?:b|i|u|p|em|strong|br|div|span|h[1-6]|score|rating|verdict)/?>")
_ANGLES = re.compile(r"<([^<>\n]{1,40})>")


def plain_text(text: str) -> str:
    """`text` in plain signs: no emphasis or quotes, all brackets round, `<score>` as `score:`.

    Lines stay lines, and words stay in their order.
    """
    text = _COMMAND.sub("", text.replace("\r\n", "\n"))
    text = _TAG.sub(" ", _ELEMENT.sub(r"\1: ", text))
    return _ANGLES.sub(r"(\1)", text).translate(_PLAIN)
