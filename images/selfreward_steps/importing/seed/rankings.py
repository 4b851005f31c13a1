"""Ranked answers: from the shapes people publish them in to one row a prompt, best answer first.

Scores become ranks (0 the best, ties kept). What carries no order is left out and counted; what cannot have been
meant is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from selfreward_steps.importing.seed.columns import (
    ANSWER,
    PROMPT,
    SCORE,
    checked_text,
    first_of,
    is_flat_ranked,
    number_in,
    text_in,
)
from selfreward_steps.importing.seed.reading import Row, bad_data
from selfreward_steps.rows import RankedAnswer, RankingRow


@dataclass
class Group:
    """The answers to one prompt that have been read; `goodness` is higher for better ones."""

    identifier: str
    prompt: str
    row: Row
    answers: list[tuple[str, float]] = field(default_factory=list)
    unscored: int = 0

    def add(self, content: str, goodness: float | None) -> None:
        if goodness is None:
            self.unscored += 1
        else:
            self.answers.append((content, goodness))


def rankings(rows: Iterator[Row], name: str, tally: Counter[str]) -> Iterator[RankingRow]:
    """Rows of any ranked shape → ranking rows; `name` is the spec's field.

    Counts `unscored` answers, and prompts that are `unordered` for want of two answers with different ranks.
    """
    for group in _groups(rows, name):
        if len(group.answers) + group.unscored < 2:
            answers = "one answer" if group.answers or group.unscored else "no answers"
            raise bad_data(
                name, group.row.where, f"prompt {group.prompt[:40]!r} has {answers}: a ranking needs two or more"
            )
        ranked = ordered(group, tally)
        if ranked is not None:
            yield ranked


def ordered(group: Group, tally: Counter[str]) -> RankingRow | None:
    """The ranking of one prompt; None, counted, when no two of its answers differ in rank."""
    tally["unscored"] += group.unscored
    best: dict[str, float] = {}
    for content, goodness in group.answers:
        tally["repeated_answers"] += content in best
        best.setdefault(content, goodness)
    levels = sorted(set(best.values()), reverse=True)
    if len(levels) < 2:
        tally["unordered"] += 1
        return None
    answers = [RankedAnswer(content=content, rank=levels.index(goodness)) for content, goodness in best.items()]
    return {
        "id": group.identifier,
        "prompt": group.prompt,
        "answers": sorted(answers, key=lambda answer: answer["rank"]),
    }


def _groups(rows: Iterator[Row], name: str) -> Iterator[Group]:
    flat: dict[str, Group] = {}
    for row in rows:
        if "answers" in row.values:
            yield _nested(row, name)
        elif {"chosen", "rejected"} <= row.values.keys():
            yield _pair(row, name)
        else:
            _add_flat(flat, row, name)
    yield from flat.values()


def _nested(row: Row, name: str) -> Group:
    group = Group(given_id(row), text_in(row, "prompt", name), row)
    answers = row.values["answers"]
    if not isinstance(answers, list):
        raise bad_data(name, row.where, f"answers is {answers!r:.60}, expected a list of content and rank")
    for index, answer in enumerate(answers):
        at = f"answers[{index}]"
        if not isinstance(answer, Mapping):
            raise bad_data(name, row.where, f"{at} is {answer!r:.60}, expected content and rank")
        column = first_of(answer, ("content", "text", *ANSWER))
        content = checked_text(answer.get(column or "content"), f"{at}.{column or 'content'}", row, name)
        group.add(content, _goodness(answer, at + ".", row, name))
    return group


def _pair(row: Row, name: str) -> Group:
    group = Group(given_id(row), _plain(row, "prompt", name), row)
    group.add(_plain(row, "chosen", name), 1)
    group.add(_plain(row, "rejected", name), 0)
    return group


def _plain(row: Row, column: str, name: str) -> str:
    """Text, or the last message of a chat, as preference datasets write it."""
    value = row.values[column]
    if isinstance(value, list) and value and isinstance(value[-1], Mapping):
        value = value[-1].get("content")
    return checked_text(value, column, row, name)


def _add_flat(groups: dict[str, Group], row: Row, name: str) -> None:
    if not is_flat_ranked(row.values):
        found = ", ".join(row.values)
        raise bad_data(name, row.where, f"found columns {found}; expected prompt, response and rank or score")
    prompt = text_in(row, first_of(row.values, PROMPT), name)
    identifier = row.values.get("prompt_id")
    group = groups.setdefault(str(identifier or prompt), Group(str(identifier or ""), prompt, row))
    if group.prompt != prompt:
        raise bad_data(name, row.where, f"prompt_id {identifier!r} has another prompt than in {group.row.where}")
    content = text_in(row, first_of(row.values, ANSWER), name)
    group.add(content, _goodness(row.values, "", row, name))


def _goodness(found: Mapping[str, Any], prefix: str, row: Row, name: str) -> float | None:
    turned: Callable[[float], float]
    if "rank" in found:
        column, turned = "rank", float.__neg__
    elif (score := first_of(found, SCORE)) is not None:
        column, turned = score, float
    else:
        raise bad_data(name, row.where, f"{prefix}rank is missing: give each answer a rank, 0 for the best")
    value = number_in(found[column], prefix + column, row, name)
    return None if value is None else turned(value)


def given_id(row: Row) -> str:
    """The id that the row brings with it, empty when it has none."""
    value = row.values.get("id", row.values.get("prompt_id"))
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
