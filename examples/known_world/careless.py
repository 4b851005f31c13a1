"""The careless world: a base model that has read reviewers who miss much of what people see.

In the plain world M0's remarks are honest and only its scores mean nothing. Here half of the remarks of the reviews
that it has read are made unseen, and most of these find nothing wrong; its verdicts on two answers and on two reviews
are of noisy readers. Its people see all of it, but have reviewed no more than a few answers. So M1 is a weak judge,
which misses faults that it could see: here a judge can truly get better, or be shown not to.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from known_world.language import (
    COMPARE,
    HIGHEST,
    JUDGE,
    SHARES,
    WEIGH,
    Merits,
    Task,
    all_tasks,
    written_answer,
)
from known_world.seed_data import any_skill, human, instruction, ranking, reviews, some_answers, write_rows
from known_world.world import ITERATIONS, write_run
from known_world.world import spec as plain_spec

SEES = 0.5
"""Of what a careless reviewer remarks, the share that is seen; the rest is said unseen."""
KIND = 0.8
"""Of what is said unseen, the share that finds nothing wrong; the rest is anything that can be said there."""
LOOKS = 0.9
"""The same of a second look, at two reviews of one answer: whoever is shown both looks closer."""
VERDICT_NOISE = 0.5
"""Standard deviation, in points, of what a careless reader feels of an answer beside another."""
INSTRUCTIONS, REVIEWED, RANKED, PROMPTS = 300, 100, 160, 600
"""As in the plain world, but for a quarter of its reviews. The reviewed answers are ranked too, by the same people."""
POLITE = 0.3
"""So many reviews end with a 4; the others mean their score, by what their reviewer has found."""
STEPS = 3000
"""Of M0's pretraining, since two answers are harder to compare than one is to review: a minute of a GPU."""
LAYERS = 2
WORDS = ["compare", "weigh", "first", "second", "Verdict:", "A", "B", "tie"]
"""What its readers say and the plain world's do not."""
Reading = Callable[[Task, random.Random], tuple[str, str]]


def texts(seed: int) -> Iterator[tuple[str, str]]:
    """What M0 reads, without end: answers, careless reviews, and careless verdicts on two answers or two reviews."""
    draw = random.Random(f"careless reading/{seed}")
    tasks = all_tasks()
    kinds: list[Reading] = [_answer, _review, _comparison, _second_look]
    while True:
        (kind,) = draw.choices(kinds, weights=[25, 20, 30, 25])
        yield kind(draw.choice(tasks), draw)


def careless_look(merits: Merits, draw: random.Random, sees: float = SEES) -> Merits:
    """The merits as a reviewer finds them: each as it is with chance `sees`; else it mostly finds nothing wrong."""

    def well(is_so: bool) -> bool:
        return is_so if draw.random() < sees else draw.random() < KIND or draw.random() < 0.5

    def share() -> float:
        if draw.random() < sees:
            return merits.on_topic
        low = min(int(merits.on_topic * len(SHARES)), len(SHARES) - 1) if draw.random() < KIND else 0
        return draw.randrange(low, len(SHARES)) / len(SHARES) + 0.01

    words = merits.words if draw.random() < sees else draw.choice([3, 7, 11])
    return replace(merits, opens=well(merits.opens), on_topic=share(), closes=well(merits.closes), words=words)


def write_seed_data(folder: Path, seed: int) -> None:
    """`instructions.jsonl`, `eft.jsonl`, `rankings.jsonl` and `prompts.jsonl`. No prompt is in two of them, but for the
    reviewed ones, which are ranked too."""
    draw = random.Random(f"people of the careless world/{seed}")
    tasks = draw.sample(all_tasks(), INSTRUCTIONS + REVIEWED + RANKED + PROMPTS)
    folder.mkdir(parents=True, exist_ok=True)
    instructed, reviewed = tasks[:INSTRUCTIONS], tasks[INSTRUCTIONS:][:REVIEWED]
    ranked, asked = tasks[INSTRUCTIONS + REVIEWED :][:RANKED], tasks[-PROMPTS:]
    known = [(task, some_answers(task, draw)) for task in reviewed]
    others = [(task, some_answers(task, draw)) for task in ranked]
    write_rows(folder / "instructions.jsonl", (instruction(task, draw) for task in instructed))
    write_rows(folder / "eft.jsonl", (row for task, answers in known for row in reviews(task, answers, human, draw)))
    write_rows(folder / "rankings.jsonl", (ranking(task, answers, draw) for task, answers in [*known, *others]))
    write_rows(folder / "prompts.jsonl", ({"prompt": task.prompt} for task in asked))


def spec(world: Path, base_model: Path, seed: int) -> dict[str, Any]:
    """The run: the plain world's, whose judge's test are the ranked answers that nobody has reviewed."""
    made = plain_spec(world, base_model, seed)
    made["eft"] = {"mode": "given"}
    made["prompts"]["count"] = PROMPTS // ITERATIONS
    for stage in ("sft", "dpo"):
        made["training"][stage]["maxLength"] = 96
    return made


def make_base_model(folder: Path, seed: int, steps: int = STEPS, layers: int = LAYERS) -> float:
    """Pretrain M0 on what is read here; returns the last loss."""
    from known_world import model  # torch takes seconds, which `--help` need not

    return model.make_base_model(folder, seed, steps, reading=texts(seed), words=WORDS, layers=layers)


def _answer(task: Task, draw: random.Random) -> tuple[str, str]:
    return task.prompt, written_answer(task, any_skill(draw), draw)


def _review(task: Task, draw: random.Random) -> tuple[str, str]:
    answer = written_answer(task, any_skill(draw), draw)
    found = careless_look(Merits.of(task.prompt, answer), draw)
    score = 4 if draw.random() < POLITE else round(found.quality)
    return JUDGE.format(prompt=task.prompt, response=answer), f"{found.remarks} Score: {score}"


def _comparison(task: Task, draw: random.Random) -> tuple[str, str]:
    """Two answers, and the better one: now aspect by aspect, now at once."""
    texts = [written_answer(task, any_skill(draw), draw) for _ in range(2)]
    first, second = (Merits.of(task.prompt, text) for text in texts)
    leads = (first.opens - second.opens, 3 * (first.on_topic - second.on_topic), first.closes - second.closes)
    felt = sum(leads) + draw.gauss(0, VERDICT_NOISE)
    aspects = _aspects(leads, draw) if draw.random() < 0.5 else ""
    return COMPARE.format(prompt=task.prompt, first=texts[0], second=texts[1]), aspects + _verdict(felt, 0.25)


def _second_look(task: Task, draw: random.Random) -> tuple[str, str]:
    """Two reviews of one answer, and which of them is right, aspect by aspect and in all."""
    answer = written_answer(task, any_skill(draw), draw)
    merits = Merits.of(task.prompt, answer)
    true, texts, leads = merits.remarks.split()[1::2], ["", ""], [0]
    while not any(leads):
        texts = [careless_look(merits, draw, draw.choice([0.0, SEES, 1.0])).remarks for _ in range(2)]
        first, second = (
            [said == right for said, right in zip(text.split()[1::2], true, strict=True)] for text in texts
        )
        leads = [one - other for one, other in zip(first, second, strict=True)][:3]
    aspects = _aspects(leads, draw, LOOKS)
    felt = sum({"A": 1, "B": -1}.get(word, 0) for word in aspects.split())
    reviews = [f"{text} Score: {draw.randint(0, HIGHEST)}" for text in texts]
    return (
        WEIGH.format(prompt=task.prompt, response=answer, first=reviews[0], second=reviews[1]),
        aspects + _verdict(felt, 0.5),
    )


def _aspects(leads: Sequence[float], draw: random.Random, sees: float = SEES) -> str:
    """Who leads in each respect, as a reader sees it who is right with chance `sees`."""
    seen = [lead if draw.random() < sees else draw.choice([-1, 0, 1]) for lead in leads]
    words = zip(("opening", "topic", "closing"), map(_winner, seen), strict=True)
    return "".join(f"{aspect} {winner} " for aspect, winner in words)


def _winner(lead: float, least: float = 0.25) -> str:
    return "A" if lead > least else "B" if lead < -least else "tie"


def _verdict(felt: float, least: float) -> str:
    return f"Verdict: {_winner(felt, least)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", type=Path, help="folder to make: M0, the seed data and the file of a run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS, help="of M0's pretraining")
    parser.add_argument("--layers", type=int, default=LAYERS, help="of M0")
    options = parser.parse_args()
    world = options.world.absolute()
    write_seed_data(world / "data", options.seed)
    loss = make_base_model(world / "m0", options.seed, options.steps, options.layers)
    write_run(world / "run.yaml", "careless", spec(world, world / "m0", options.seed))
    print(f"M0 has read for {options.steps} steps: loss {loss:.3f}")


if __name__ == "__main__":
    main()
