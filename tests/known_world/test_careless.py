"""The careless world: what its readers see and miss, and that its people have seen all of it."""

from __future__ import annotations

import json
import random
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from known_world.careless import PROMPTS, RANKED, REVIEWED, SEES, WORDS, careless_remarks, texts, write_seed_data
from known_world.language import Merits
from known_world.model import UNKNOWN, make_tokenizer
from selfreward_steps.judging.comparison import stated_verdict


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("sees", [0.0, SEES, 1.0])
def test_remarks_are_right_as_often_as_is_said(sees: float) -> None:
    draw = random.Random(1)
    merits = Merits(opens=True, on_topic=0.5, closes=True, words=6)
    true = merits.remarks.split()[1::2]
    found = [careless_remarks(merits, draw, sees).split()[1::2] for _ in range(2000)]
    chances = (1 / 2, 1 / 5, 1 / 2, 1 / 3)
    for place, chance in enumerate(chances):
        right = sum(each[place] == true[place] for each in found) / len(found)
        assert right == pytest.approx(sees + (1 - sees) * chance, abs=0.04)


def test_m0_reads_words_it_knows_and_verdicts_that_the_product_reads() -> None:
    tokenizer = make_tokenizer(WORDS)
    unknown = tokenizer.convert_tokens_to_ids(UNKNOWN)
    verdicts = []
    for question, answer in islice(texts(3), 500):
        assert unknown not in tokenizer(f"{question} {answer}")["input_ids"], (question, answer)
        if question.startswith(("compare", "weigh")):
            verdicts.append(stated_verdict(answer))
    assert None not in verdicts
    assert {verdicts.count(verdict) > len(verdicts) / 10 for verdict in (-1, 0, 1)} == {True}


def test_the_reviewed_answers_are_ranked_too_and_nothing_else_is_asked_twice(tmp_path: Path) -> None:
    write_seed_data(tmp_path, 4)
    reviews, rankings = rows(tmp_path / "eft.jsonl"), rows(tmp_path / "rankings.jsonl")
    assert (len(reviews), len(rankings)) == (4 * REVIEWED, REVIEWED + RANKED)
    reviewed = {row["prompt"] for row in reviews}
    assert {row["prompt"] for row in rankings[:REVIEWED]} == reviewed
    asked = [row["prompt"] for row in rows(tmp_path / "prompts.jsonl")]
    instructed = [row["messages"][0]["content"] for row in rows(tmp_path / "instructions.jsonl")]
    every = [*asked, *instructed, *(row["prompt"] for row in rankings)]
    assert len(asked) == PROMPTS
    assert len(set(every)) == len(every)
    for row in reviews:
        assert row["critique"].startswith(Merits.of(row["prompt"], row["response"]).remarks)
