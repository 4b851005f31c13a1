"""Names of children: the same for the same attempt, whoever computes them and whenever.

That is what makes a second create of one attempt harmless. This module must not know what the names are given to.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

MAX_NAME: Final = 50
"""Longest child name. Pods, Services and labels derive longer names from it (63 is Kubernetes' limit)."""
_TAIL: Final = 8


def capped_name(text: str, limit: int = MAX_NAME) -> str:
    """`text` when it fits; otherwise its beginning and a hash of all of it, so that two names never meet."""
    if len(text) <= limit:
        return text
    tail = sha256(text.encode()).hexdigest()[:_TAIL]
    return f"{text[: limit - _TAIL - 1].rstrip('-')}-{tail}"


def step_name(run: str, key: str, attempt: int) -> str:
    """Name of the child of one attempt at a step: `RUN-respond-2-a1`."""
    return capped_name(f"{run}-{key}-a{attempt}")


def serving_name(run: str, model: str, attempt: int) -> str:
    """Name of the server that one attempt at serving a model creates: `RUN-serve-m2-a1`."""
    return capped_name(f"{run}-serve-{model}-a{attempt}")
