"""Eyesight of a model in the careless world: how often what it remarks and decides is right, asked as a run asks it.

    python -m known_world.eyesight WORLD/m0

Shares of right remarks, one of each aspect, and of right verdicts where the truth decides, sampled at temperature T.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

from known_world.careless import careless_look
from known_world.language import COMPARE, JUDGE, WEIGH, Merits, all_tasks, read_task, written_answer
from known_world.seed_data import any_skill
from known_world.server import MOST_ROWS, Engine, Row

ASKED = 400
ASPECTS = 3
"""Opening, topic and closing; of length nobody decides."""


def eyesight(engine: Engine, temperature: float, seed: int = 0) -> dict[str, float]:
    """The shares; a verdict `tie` where one is better is not right."""
    draw = random.Random(f"eyesight/{seed}")
    reviews, comparisons, looks = (list(kind(draw)) for kind in (_reviews, _comparisons, _second_looks))
    said = _said(engine, [question for question, _ in reviews], temperature)
    found = {
        f"remark {place + 1}": _share(
            [_at(words, place) == true[place] for words, (_, true) in zip(said, reviews, strict=True)]
        )
        for place in range(ASPECTS)
    }
    for name, asked in (("two answers", comparisons), ("two reviews", looks)):
        words = _said(engine, [question for question, _ in asked], temperature)
        found[name] = _share([each[-1:] == [better] for each, (_, better) in zip(words, asked, strict=True)])
    return found


def _reviews(draw: random.Random) -> Iterator[tuple[str, list[str]]]:
    for prompt, answer, merits in _answers(draw):
        yield JUDGE.format(prompt=prompt, response=answer), merits.remarks.split()[1::2]


def _comparisons(draw: random.Random) -> Iterator[tuple[str, str]]:
    for prompt, first, merits in _answers(draw):
        second = written_answer(read_task(prompt), any_skill(draw), draw)
        lead = merits.quality - Merits.of(prompt, second).quality
        if lead:
            yield COMPARE.format(prompt=prompt, first=first, second=second), "A" if lead > 0 else "B"


def _second_looks(draw: random.Random) -> Iterator[tuple[str, str]]:
    for prompt, answer, merits in _answers(draw):
        texts = [careless_look(merits, draw).remarks for _ in range(2)]
        true = merits.remarks.split()[1::2][:ASPECTS]
        first, second = (sum(map(str.__eq__, text.split()[1::2], true)) for text in texts)
        if first != second:
            one, other = (f"{text} Score: {draw.randint(0, 5)}" for text in texts)
            question = WEIGH.format(prompt=prompt, response=answer, first=one, second=other)
            yield question, "A" if first > second else "B"


def _answers(draw: random.Random) -> Iterator[tuple[str, str, Merits]]:
    tasks = all_tasks()
    for _ in range(ASKED):
        task = draw.choice(tasks)
        answer = written_answer(task, any_skill(draw), draw)
        yield task.prompt, answer, Merits.of(task.prompt, answer)


def _said(engine: Engine, questions: list[str], temperature: float) -> list[list[str]]:
    rows = [
        Row(engine.prompt([{"role": "user", "content": question}]), temperature, 0.9, 12, seed)
        for seed, question in enumerate(questions)
    ]
    sampled = [
        each for start in range(0, len(rows), MOST_ROWS) for each in engine.sample(rows[start : start + MOST_ROWS])
    ]
    return [engine.tokenizer.decode(each.tokens, skip_special_tokens=True).split() for each in sampled]


def _at(words: list[str], place: int) -> str:
    """The review's remark on one aspect."""
    return words[2 * place + 1] if len(words) > 2 * place + 1 else ""


def _share(right: list[bool]) -> float:
    return sum(right) / len(right)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    engine = Engine(parser.parse_args().model)
    for temperature in (0.0, 0.7):
        found = ", ".join(f"{name} {share:.2f}" for name, share in eyesight(engine, temperature).items())
        print(f"T {temperature}: {found}", flush=True)


if __name__ == "__main__":
    main()
