"""Open Assistant conversations, flat (a message a row) or as trees: their first prompts and ranked first answers.

As in the paper (section 3.1): first turns only, English, the answers as people ranked them. Flat rows may come in any
order, so first answers are held until the end of the file; nothing deeper is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from selfreward_steps.importing.seed.columns import checked_text, number_in
from selfreward_steps.importing.seed.rankings import Group
from selfreward_steps.importing.seed.reading import Row, bad_data
from selfreward_steps.json_text import writable
from selfreward_steps.rows import Message


def first_turns(rows: Iterator[Row], name: str, tally: Counter[str]) -> Iterator[Group]:
    """One group a first prompt, with its first answers; `name` is the spec's field.

    Counts `other_languages` (prompts that say they are not English), `later_turns` (what follows a first answer) and
    `unscored` answers (in the groups).
    """
    forest = _Forest(name, tally)
    for row in rows:
        if "message_tree_id" in row.values and isinstance(row.values.get("prompt"), Mapping):
            yield from forest.tree(row)
        else:
            forest.message(row)
    yield from forest.grown()


class _Forest:
    def __init__(self, name: str, tally: Counter[str]) -> None:
        self._name = name
        self._tally = tally
        self._roots: dict[str, Group] = {}
        self._not_roots: set[str] = set()
        self._answers: dict[str, list[tuple[str, float | None]]] = {}

    def tree(self, row: Row) -> Iterator[Group]:
        root: Mapping[str, Any] = row.values["prompt"]
        group = self._root(root, str(row.values["message_tree_id"]), row)
        if group is not None:
            for reply in self._replies(root, row):
                if reply.get("role") == "assistant" and not reply.get("deleted"):
                    group.add(self._text(reply, row), number_rank(reply, row, self._name))
                    self._tally["later_turns"] += bool(reply.get("replies"))
            yield group

    def message(self, row: Row) -> None:
        values = row.values
        if not {"message_id", "parent_id", "role"} <= values.keys():
            raise bad_data(
                self._name,
                row.where,
                f"found columns {', '.join(values)}; expected message_id, parent_id, role, text, rank",
            )
        identifier, parent = str(values["message_id"]), values["parent_id"]
        if parent is None:
            group = self._root(values, identifier, row)
            if group is not None:
                self._roots[identifier] = group
            return
        self._not_roots.add(identifier)
        self._tally["later_turns"] += values["role"] != "assistant"
        if values["role"] == "assistant" and not values.get("deleted") and str(parent) not in self._not_roots:
            answer = (self._text(values, row), number_rank(values, row, self._name))
            self._answers.setdefault(str(parent), []).append(answer)

    def grown(self) -> Iterator[Group]:
        for identifier, group in self._roots.items():
            for content, goodness in self._answers.pop(identifier, ()):
                group.add(content, goodness)
            yield group

    def _replies(self, root: Mapping[str, Any], row: Row) -> list[Mapping[str, Any]]:
        replies = root.get("replies") or []
        if not isinstance(replies, list) or not all(isinstance(each, Mapping) for each in replies):
            raise bad_data(self._name, row.where, f"prompt.replies is {replies!r:.60}, expected a list of messages")
        return replies

    def _root(self, message: Mapping[str, Any], identifier: str, row: Row) -> Group | None:
        if message.get("lang") not in (None, "en"):
            self._tally["other_languages"] += 1
            return None
        if message.get("role") not in ("prompter", "user") or message.get("deleted"):
            return None
        return Group(writable(identifier), [Message(role="user", content=self._text(message, row))], row)

    def _text(self, message: Mapping[str, Any], row: Row) -> str:
        return checked_text(message.get("text"), "text", row, self._name)


def number_rank(message: Mapping[str, Any], row: Row, name: str) -> float | None:
    """How good an answer is by its rank (0 the best, so higher is better); None when people did not rank it."""
    rank = number_in(message.get("rank"), "rank", row, name)
    return None if rank is None else -rank
