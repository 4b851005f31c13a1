"""JSON that somebody else wrote: whatever is wrong with it is a ValueError, how deep it is nested included."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """The value that `text` holds. Raises ValueError, which json.loads alone does not for a text of nothing but `[`."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
