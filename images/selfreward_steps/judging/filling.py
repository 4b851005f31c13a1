"""Questions to a judge with their texts filled in. Pure."""

from __future__ import annotations

import re


def filled(question: str, **texts: str) -> str:
    """`question` with each `{name}` replaced by the text of that name.

    In one pass: what stands in a text, `{name}` too, is never taken for a placeholder.
    """
    names = "|".join(map(re.escape, texts))
    return re.sub(rf"\{{({names})\}}", lambda match: texts[match[1]], question)
