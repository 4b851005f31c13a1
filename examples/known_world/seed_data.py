"""The world's people: what they wrote down, and how they ranked answers, with the weaknesses people have.

All of it is drawn from one seed. Scores and rankings follow the true quality through a noise and a liking for long
answers, so that a judge learnt from them is not the truth.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from known_world.language import HIGHEST, Merits, Skill, Task, all_tasks, true_quality, written_answer

Taste = Callable[[str, str, random.Random], float]
"""How good somebody finds an answer to a prompt, about 0 to 5."""

INSTRUCTIONS, REVIEWED, RANKED, PROMPTS = 300, 400, 160, 600
"""Instructions with answers, prompts with reviewed answers (EFT data), prompts with ranked answers (the judge's test)
and prompts for the iterations. No prompt is in two of them."""
ANSWERS = 4
"""Ranked answers of one prompt, and reviewed ones."""
PEOPLE = Skill(opening=0.6, on_topic=0.6, plain=0.8, closing=0.4)
"""Who wrote the instructions' answers: not masters."""
NOISE = 0.4
"""Standard deviation of what a person feels beside the truth, in points."""
LENGTH_LIKING = 0.04
"""Points that a person gives to each word."""


def human(prompt: str, answer: str, draw: random.Random) -> float:
    """The truth, seen by a person."""
    words = len(answer.split())
    return true_quality(prompt, answer) + LENGTH_LIKING * (words - 8) + draw.gauss(0, NOISE)


def length_loving(prompt: str, answer: str, draw: random.Random) -> float:
    """Somebody to whom four more words are worth a point."""
    return true_quality(prompt, answer) + 0.25 * (len(answer.split()) - 8) + draw.gauss(0, NOISE)


def flattering(prompt: str, answer: str, draw: random.Random) -> float:
    """Somebody who likes everything."""
    return HIGHEST


def any_skill(draw: random.Random) -> Skill:
    """Somebody: from hopeless to masterly, in each respect on their own."""
    opening, on_topic, plain, closing = (draw.uniform(low, 1.0) for low in (0.2, 0.1, 0.5, 0.0))
    shortest = draw.randint(2, 8)
    return Skill(opening, on_topic, plain, closing, (shortest, shortest + 4))


def write_seed_data(folder: Path, seed: int, reviewer: Taste = human) -> None:
    """`instructions.jsonl`, `eft.jsonl`, `rankings.jsonl` and `prompts.jsonl`.

    The reviews are `reviewer`'s; the rankings are always people's, for they test the judge.
    """
    draw = random.Random(f"people/{seed}")
    tasks = iter(draw.sample(all_tasks(), INSTRUCTIONS + REVIEWED + RANKED + PROMPTS))
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "instructions.jsonl", (instruction(task, draw) for task in islice(tasks, INSTRUCTIONS)))
    write_rows(
        folder / "eft.jsonl",
        (
            review
            for task in islice(tasks, REVIEWED)
            for review in reviews(task, some_answers(task, draw), reviewer, draw)
        ),
    )
    write_rows(
        folder / "rankings.jsonl", (ranking(task, some_answers(task, draw), draw) for task in islice(tasks, RANKED))
    )
    write_rows(folder / "prompts.jsonl", ({"prompt": task.prompt} for task in tasks))


def instruction(task: Task, draw: random.Random) -> dict[str, Any]:
    """What people ask, and a middling answer."""
    answer = written_answer(task, PEOPLE, draw)
    return {"messages": [{"role": "user", "content": task.prompt}, {"role": "assistant", "content": answer}]}


def reviews(task: Task, answers: list[str], reviewer: Taste, draw: random.Random) -> Iterator[dict[str, Any]]:
    """Honest remarks, and the score that the reviewer's taste makes of the answer."""
    for answer in answers:
        score = min(HIGHEST, max(0, round(reviewer(task.prompt, answer, draw))))
        critique = f"{Merits.of(task.prompt, answer).remarks} Score: {score}"
        yield {"prompt": task.prompt, "response": answer, "critique": critique, "score": score}


def ranking(task: Task, answers: list[str], draw: random.Random) -> dict[str, Any]:
    """The answers as people rank them."""
    best_first = sorted(answers, key=lambda answer: human(task.prompt, answer, draw), reverse=True)
    return {
        "prompt": task.prompt,
        "answers": [{"content": answer, "rank": rank} for rank, answer in enumerate(best_first)],
    }


def some_answers(task: Task, draw: random.Random) -> list[str]:
    """Different ones, by people of any skill."""
    answers: dict[str, None] = {}
    while len(answers) < ANSWERS:
        answers[written_answer(task, any_skill(draw), draw)] = None
    return list(answers)


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """JSONL."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
