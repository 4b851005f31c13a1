"""Annotations by which users ask for something that is no state of the run, so no field of its spec; and one by which
one machine says what it is."""

from __future__ import annotations

from typing import Final

PAUSED: Final = "selfreward.dev/paused"
"""With the value `true` the operator leaves the run alone, children and all."""
RETRY: Final = "selfreward.dev/retry"
"""Any value asks once for a failed run to be tried again; the operator removes it."""
APPROVED: Final = "selfreward.dev/approved-iteration"
"""Number of the last iteration that may start, where `spec.schedule.approval` asks for one. The operator never
changes it, so that it may come from a repository as the rest of the resource does."""
GPUS: Final = "selfreward.dev/gpus"
"""Number of the GPUs of the machine that walks the run. Not written on a cluster, whose pods ask for theirs."""

_MOST_DIGITS: Final = 9


def numbered(text: str) -> int | None:
    """The number that a label or an annotation says; None when it says none, since anybody may have written it."""
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None
