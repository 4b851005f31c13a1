"""ROUGE-L: the same numbers as the rouge-score package's, and the pool that finds the same neighbours, fast."""

import itertools
import json
import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from selfreward_steps.prompting.rouge import RougePool, rouge_l
from selfreward_steps.prompting.words import words_of

EXAMPLES = Path(__file__).parents[3] / "examples"
SCORER = RougeScorer(["rougeL"], use_stemmer=False)


class Words:
    """Our words, for the package to compare: its own are of ASCII alone."""

    def tokenize(self, text: str) -> list[str]:
        return words_of(text)


OF_WORDS = RougeScorer(["rougeL"], tokenizer=Words())
WORDS = st.sampled_from(["a", "b", "c", "d", "e", "the", "cat", "sat"])
TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(WORDS, max_size=80).map(" ".join),  # longer than a machine word
    st.lists(st.sampled_from(["Ünder", "don't", "x-1", "...", "日本", "A", "a"]), max_size=8).map(" ".join),
)


@given(TEXTS, TEXTS)
def test_equals_the_package(first: str, second: str) -> None:
    ours = rouge_l(words_of(first), words_of(second))
    assert ours == OF_WORDS.score(first, second)["rougeL"].fmeasure
    if (first + second).isascii():
        assert ours == SCORER.score(first, second)["rougeL"].fmeasure


def test_equals_the_package_on_real_prompts() -> None:
    rows = map(json.loads, (EXAMPLES / "quickstart" / "data" / "instructions.jsonl").read_text().splitlines())
    prompts = [row["messages"][0]["content"] for row in rows][:40]
    differing = [
        (first, second)
        for first, second in itertools.combinations(prompts, 2)
        if rouge_l(words_of(first), words_of(second)) != SCORER.score(first, second)["rougeL"].fmeasure
    ]
    assert differing == []
    assert len(prompts) == 40


def test_equals_the_package_on_random_words() -> None:
    draw = random.Random(3)
    for _ in range(2000):
        words = [f"w{n}" for n in range(draw.choice([2, 10, 200]))]
        first, second = (" ".join(draw.choices(words, k=draw.randrange(1, 90))) for _ in range(2))
        assert rouge_l(words_of(first), words_of(second)) == SCORER.score(first, second)["rougeL"].fmeasure


@given(st.lists(TEXTS, max_size=8), TEXTS, st.sampled_from([0.0, 0.3, 0.5, 2 / 3, 0.7, 0.9, 1.0]))
def test_the_pool_finds_what_a_comparison_with_every_text_finds(pool: list[str], text: str, limit: float) -> None:
    near = RougePool()
    for each in pool:
        near.add(each)
    expected = any(OF_WORDS.score(each, text)["rougeL"].fmeasure > limit for each in pool)
    assert near.is_near(text, limit) == expected
    assert len(near) == len(pool)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("write a short poem about the sea", True),
        ("write a short poem about the old sea", True),
        ("write a long story about a mountain", False),
        ("sea the about poem short a write", False),  # the same words in another order
        ("", False),
    ],
)
def test_the_limit_of_self_instruct(text: str, near: bool) -> None:
    pool = RougePool()
    pool.add("Write a short poem about the sea!")
    assert pool.is_near(text, 0.7) is near


def test_thousands_against_thousands_in_seconds() -> None:
    draw = random.Random(1)
    common = [f"w{n}" for n in range(40)]
    rare = [f"r{n}" for n in range(3000)]

    def text() -> str:
        return " ".join(draw.choice(common) if draw.random() < 0.5 else draw.choice(rare) for _ in range(18))

    pool = RougePool()
    for _ in range(8000):
        pool.add(text())
    started = time.process_time()
    for _ in range(500):
        pool.is_near(text(), 0.7)
    # 5,000 prompts at an acceptance of one half are 20 times this.
    assert time.process_time() - started < 6
