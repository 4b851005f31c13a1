"""Ranked answers: from the shapes people publish them in to one row a prompt, best answer first.

Scores become ranks (0 the best, ties kept). What carries no order is left out and counted; what cannot have been
meant is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from selfreward_steps.importing.seed.asked import asked_in, conversation_text, ends_with_user, joined, with_system
from selfreward_steps.importing.seed.columns import (
    ANSWER,
    ANSWERS,
    PROMPT,
    SCORE,
    Compared,
    checked_text,
    compared_in,
    conversation_in,
    first_of,
    is_flat_ranked,
    is_pair,
    number_in,
    text_in,
    until_answer,
)
from selfreward_steps.importing.seed.reading import Row, bad_data
from selfreward_steps.importing.seed.transcripts import has_silent_turn
from selfreward_steps.json_text import writable
from selfreward_steps.rows import Message, RankedAnswer, RankingRow


@dataclass
class Group:
    """The answers to one prompt that have been read; `goodness` is higher for better ones."""

    identifier: str
    asked: list[Message]
    """The turns before the answers."""
    row: Row
    answers: list[tuple[str, float]] = field(default_factory=list)
    unscored: int = 0

    @property
    def prompt(self) -> str:
        return conversation_text(self.asked)

    def add(self, content: str, goodness: float | None) -> None:
        if goodness is None:
            self.unscored += 1
        else:
            self.answers.append((content, goodness))


def rankings(rows: Iterator[Row], name: str, tally: Counter[str]) -> Iterator[RankingRow]:
    """Rows of any ranked shape → ranking rows; `name` is the spec's field.

    Counts `unscored` answers, and prompts that are `unordered` for want of two answers with different ranks. Of pairs,
    it counts and leaves out those whose conversations part before their last answers (`diverging`), whose prompt is not
    the conversations' (`other_prompt`), in which somebody says nothing (`silent_turns`), and whose scores prefer the
    rejected answer (`contradicted`).
    """
    for group in _groups(rows, name, tally):
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
    ranking: RankingRow = {
        "id": group.identifier,
        "prompt": group.prompt,
        "answers": sorted(answers, key=lambda answer: answer["rank"]),
    }
    if len(group.asked) > 1:
        ranking["messages"] = group.asked
    return ranking


def _groups(rows: Iterator[Row], name: str, tally: Counter[str]) -> Iterator[Group]:
    flat: dict[str, Group] = {}
    for row in rows:
        if first_of(row.values, ANSWERS) is not None:
            yield _nested(row, name, tally)
        elif (columns := compared_in(row.values)) is not None:
            yield _compared(row, columns, name, tally)
        elif is_pair(row.values):
            group = _pair(row, name, tally)
            if group is not None:
                yield group
        else:
            _add_flat(flat, row, name, tally)
    yield from flat.values()


def _nested(row: Row, name: str, tally: Counter[str]) -> Group:
    group = Group(given_id(row), asked_in(row, name, tally), row)
    listed = first_of(row.values, ANSWERS) or "answers"
    answers = row.values[listed]
    if not isinstance(answers, list):
        raise bad_data(name, row.where, f"{listed} is {answers!r:.60}, expected a list of content and rank")
    for index, answer in enumerate(answers):
        at = f"{listed}[{index}]"
        if not isinstance(answer, Mapping):
            raise bad_data(name, row.where, f"{at} is {answer!r:.60}, expected content and rank")
        column = first_of(answer, ("content", "text", *ANSWER))
        content = checked_text(answer.get(column or "content"), f"{at}.{column or 'content'}", row, name)
        group.add(content, _goodness(answer, at + ".", row, name))
    return group


def _compared(row: Row, columns: Compared, name: str, tally: Counter[str]) -> Group:
    group = Group(given_id(row), asked_in(row, name, tally), row)
    preference = number_in(row.values[columns.preference], columns.preference, row, name)
    towards_second = columns.likes_second(preference)
    if towards_second is None and preference is not None:
        known = " or ".join(f"{label:g}" for label in columns.labels)
        raise bad_data(name, row.where, f"{columns.preference} is {preference:g}, expected {known}")
    group.add(text_in(row, columns.first, name), towards_second and -towards_second)
    group.add(text_in(row, columns.second, name), towards_second)
    return group


def _pair(row: Row, name: str, tally: Counter[str]) -> Group | None:
    """Both answers to what was asked before them; None, counted, when that is not the same for both."""
    if any(has_silent_turn(row.values[column]) for column in ("chosen", "rejected")):
        tally["silent_turns"] += 1
        return None
    asked = asked_in(row, name, tally) if first_of(row.values, PROMPT) is not None else with_system(row, [], name)
    chosen, rejected = (_before_answer(row, column, asked, name, tally) for column in ("chosen", "rejected"))
    if chosen[0] is None or rejected[0] is None:
        tally["other_prompt"] += 1
        return None
    if chosen[0] != rejected[0]:
        tally["diverging"] += 1
        return None
    better, worse = _pair_goodness(row, name)
    if better < worse:
        tally["contradicted"] += 1
        return None
    group = Group(given_id(row), ends_with_user(chosen[0], row, name), row)
    group.add(chosen[1], better)
    group.add(rejected[1], worse)
    return group


def _before_answer(
    row: Row, column: str, asked: list[Message], name: str, tally: Counter[str]
) -> tuple[list[Message] | None, str]:
    """The turns before the answer in `column`, and the answer: a text, or the assistant's last turn."""
    found = conversation_in(column, row, name, tally)
    if found is None:
        return asked, checked_text(row.values[column], column, row, name)
    chat = until_answer(found, tally)
    if not chat:
        raise bad_data(name, row.where, f"{column} has no message of the assistant: there is no answer to rank")
    return joined(asked, chat[:-1]), chat[-1]["content"]


def _pair_goodness(row: Row, name: str) -> tuple[float, float]:
    """The two answers' own scores where the row has both, equal where it says `tie`; else 1 and 0."""
    if row.values.get("status") == "tie":
        return 0, 0
    for score in (*SCORE, "reward"):
        for form in ("{score}_{which}", "{which}_{score}", "{score}-{which}", "{which}-{score}"):
            better, worse = (form.format(score=score, which=which) for which in ("chosen", "rejected"))
            if better in row.values and worse in row.values:
                numbers = [number_in(row.values[column], column, row, name) for column in (better, worse)]
                if None not in numbers:
                    return numbers[0] or 0, numbers[1] or 0
    return 1, 0


def _add_flat(groups: dict[str, Group], row: Row, name: str, tally: Counter[str]) -> None:
    if not is_flat_ranked(row.values):
        found = ", ".join(row.values)
        raise bad_data(name, row.where, f"found columns {found}; expected prompt, response and rank or score")
    asked = asked_in(row, name, tally)
    identifier = row.values.get("prompt_id")
    key = str(identifier or conversation_text(asked))
    group = groups.setdefault(key, Group(writable(str(identifier or "")), asked, row))
    if group.asked != asked:
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
    return writable(str(value)) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
