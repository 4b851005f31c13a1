"""JSON that somebody else wrote: whatever is wrong with it, deep nesting included, is a ValueError, and its text can be
written."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """The value that `text` holds. Raises ValueError, which json.loads alone does not for a text of nothing but `[`."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def writable(text: str) -> str:
    """`text` with lone surrogates as escapes: JSON can carry half a pair, and UTF-8 has none."""
    return text.encode(errors="backslashreplace").decode()
