"""The pairs that a training reads: which inputs hold them, and their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from selfreward_steps.rows import PairRow, read_rows


def pair_roles(inputs: Iterable[str]) -> list[str]:
    """The roles that hold pairs, oldest first: `pairs-1`, `pairs-2`, …, and `pairs`, this iteration's; M1 has none."""
    roles = set(inputs)
    earlier = (role for role in roles if role.startswith("pairs-"))
    return [*sorted(earlier, key=lambda role: int(role.removeprefix("pairs-"))), *({"pairs"} & roles)]


def pair_rows(roles: Sequence[str], fetch: Callable[[str], Path]) -> Iterator[tuple[str, PairRow]]:
    """The rows of the roles' pairs, each with where it stands, for errors."""
    for role in roles:
        for row in read_rows(fetch(role) / "pairs.jsonl", PairRow):
            yield f"pairs.jsonl, row {row['id']}", row
