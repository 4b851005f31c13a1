"""The quickstart's seed data is what its README promises.

Why: the quickstart's table is only worth reading when its seed is sound: a prompt shared between training and
judging, or a ranking that length alone explains, would make every later number mean something else. Reads the
files with plain json, so that it fails here and not inside a step. It must not use the pipeline's own readers.
"""

import json
import re
from collections import Counter
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

DATA = Path(__file__).parents[2] / "examples" / "quickstart" / "data"
FILES = {"instructions.jsonl": 64, "rankings.jsonl": 48, "eft.jsonl": 40}
Row = dict[str, Any]


def rows(name: str) -> list[Row]:
    return [json.loads(line) for line in (DATA / name).read_bytes().decode("utf-8").splitlines()]


def prompts(name: str) -> list[str]:
    if name == "instructions.jsonl":
        return [row["messages"][0]["content"] for row in rows(name)]
    return [row["prompt"] for row in rows(name)]


def by_rank(row: Row) -> list[str]:
    return [answer["content"] for answer in sorted(row["answers"], key=lambda answer: answer["rank"])]


def texts(value: object) -> list[str]:
    """Every string below a JSON value, keys left out."""
    match value:
        case str():
            return [value]
        case list():
            return [text for item in value for text in texts(item)]
        case dict():
            return [text for item in value.values() for text in texts(item)]
        case _:
            return []


class TokenisedOnce:
    """ROUGE's own tokens, kept: every prompt is compared with all the others, 12,880 pairs."""

    def __init__(self) -> None:
        self.tokenize = cache(DefaultTokenizer().tokenize)


def words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize(("name", "least"), FILES.items(), ids=FILES.keys())
def test_there_are_enough_rows_and_no_text_is_empty(name: str, least: int) -> None:
    assert len(rows(name)) >= least
    found = [text for row in rows(name) for text in texts(row)]
    assert [text for text in found if not text.strip() or text != text.strip() or "\ufffd" in text] == []


def test_instructions_are_one_exchange_with_a_brief_answer() -> None:
    for row in rows("instructions.jsonl"):
        assert row.keys() == {"messages"}
        assert [message.keys() for message in row["messages"]] == [{"role", "content"}] * 2
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
        assert 20 <= words(row["messages"][1]["content"]) <= 90, row


def test_rankings_are_total_orders_of_three_or_four_different_answers() -> None:
    for row in rows("rankings.jsonl"):
        assert row.keys() == {"prompt", "answers"}
        assert all(answer.keys() == {"content", "rank"} for answer in row["answers"])
        ranks = sorted(answer["rank"] for answer in row["answers"])
        assert ranks in ([0, 1, 2], [0, 1, 2, 3]), row["prompt"]
        assert len(set(by_rank(row))) == len(ranks), row["prompt"]


def test_judgements_have_a_short_critique_and_a_score() -> None:
    for row in rows("eft.jsonl"):
        assert row.keys() == {"prompt", "response", "critique", "score"}
        assert type(row["score"]) is int
        assert 0 <= row["score"] <= 5
        assert 15 <= words(row["critique"]) <= 35, row["critique"]
        assert not re.search(r"\bscore\b|\d\s*/\s*5", row["critique"], re.IGNORECASE), row["critique"]


def test_every_score_is_as_common_as_the_others() -> None:
    counts = Counter(row["score"] for row in rows("eft.jsonl"))
    assert counts.keys() == set(range(6))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_no_prompt_is_found_twice_in_all_files() -> None:
    plain = [re.sub(r"\W+", " ", prompt).strip().lower() for name in FILES for prompt in prompts(name)]
    assert [prompt for prompt, count in Counter(plain).items() if count > 1] == []


def test_no_two_prompts_are_alike() -> None:
    """ROUGE-L F of at most 0.6, stricter than the 0.7 of the filter for new prompts (Self-Instruct)."""
    asked = [prompt for name in FILES for prompt in prompts(name)]
    scorer = RougeScorer(["rougeL"], tokenizer=TokenisedOnce())
    alike = [
        (first, second)
        for first, second in combinations(asked, 2)
        if scorer.score(first, second)["rougeL"].fmeasure > 0.6
    ]
    assert alike == []


def test_length_does_not_decide_the_rankings() -> None:
    ranked = [[len(content) for content in by_rank(row)] for row in rows("rankings.jsonl")]
    pairs = [(better, worse) for lengths in ranked for better, worse in combinations(lengths, 2)]
    assert 0.4 <= sum(better > worse for better, worse in pairs) / len(pairs) <= 0.6
    assert 0.4 <= sum(better < worse for better, worse in pairs) / len(pairs) <= 0.6
    best_is_longest = sum(lengths[0] == max(lengths) for lengths in ranked)
    assert 0.4 <= best_is_longest / len(ranked) <= 0.6


def test_position_does_not_decide_the_rankings() -> None:
    """A judge that ties everything and a stable sort would otherwise look perfect."""
    orders = [[answer["rank"] for answer in row["answers"]] for row in rows("rankings.jsonl")]
    pairs = [pair for order in orders for pair in combinations(order, 2)]
    assert 0.4 <= sum(first < second for first, second in pairs) / len(pairs) <= 0.6


def test_readme_states_the_numbers_of_the_files() -> None:
    readme = " ".join((DATA / "README.md").read_text(encoding="utf-8").split())
    ranked = [[len(content) for content in by_rank(row)] for row in rows("rankings.jsonl")]
    pairs = [pair for lengths in ranked for pair in combinations(lengths, 2)]
    shorter_best = sum(lengths[0] < max(lengths) for lengths in ranked)
    share = round(100 * sum(better > worse for better, worse in pairs) / len(pairs))
    assert f"`instructions.jsonl`, {len(rows('instructions.jsonl'))} rows" in readme
    assert f"`rankings.jsonl`, {len(ranked)} prompts" in readme
    assert f"`eft.jsonl`, {len(rows('eft.jsonl'))} judgements" in readme
    assert f"not the longest for {shorter_best} of the {len(ranked)} prompts" in readme
    assert f"agrees with {share} % of the pairs" in readme
    assert "Apache-2.0" in readme
