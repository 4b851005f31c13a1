"""The careless world: what its readers see and miss, and that its people have seen all of it."""

from __future__ import annotations

import json
import random
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from known_world.careless import KIND, PROMPTS, RANKED, REVIEWED, SEES, WORDS, careless_look, texts, write_seed_data
from known_world.language import SHARES, Merits
from known_world.model import UNKNOWN, make_tokenizer
from selfreward_steps.judging.comparison import stated_verdict


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("sees", [0.0, SEES, 1.0])
def test_faults_are_missed_and_merits_are_not(sees: float) -> None:
    draw = random.Random(1)
    for good in (True, False):
        merits = Merits(opens=good, on_topic=0.5, closes=good, words=6)
        found = [careless_look(merits, draw, sees).remarks.split() for _ in range(2000)]
        praised = KIND + (1 - KIND) / 2
        expected = sees + (1 - sees) * praised if good else sees + (1 - sees) * (1 - praised)
        for place in (1, 5):
            right = sum(each[place] == ("good" if good else "bad") for each in found) / len(found)
            assert right == pytest.approx(expected, abs=0.04)
        assert sum(SHARES.index(each[3]) < SHARES.index("half") for each in found) / len(found) == pytest.approx(
            (1 - sees) * (1 - KIND) * 2 / 5, abs=0.03
        )


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
