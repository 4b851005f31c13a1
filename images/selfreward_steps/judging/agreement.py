"""Agreement of judgements with people's rankings: which are worth learning from (paper section 2.1). Pure.

It must not talk to a server or the store; :mod:`selfreward_steps.eft` does.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations, permutations

from selfreward_steps.contract import mean_score
from selfreward_steps.judging.kept_judgements import Read, agreeing_choice, until_score
from selfreward_steps.measuring.overlap import asked_in, comparables
from selfreward_steps.rows import EftRow, RankingRow


@dataclass(frozen=True, slots=True)
class Split:
    """Ranked prompts to learn from and to test the judge on; `shared` were left out of the test set."""

    train: list[RankingRow]
    test: list[RankingRow]
    shared: int


def split_rankings(
    rows: Sequence[RankingRow], *, test_fraction: float, trained_prompts: Collection[str], seed: int
) -> Split:
    """Hold out `test_fraction` of the prompts, drawn by `seed`; none that training sees elsewhere.

    `trained_prompts` are the prompts of the instructions and of ready EFT examples: a judge that has learnt an
    answer to a test prompt is not being tested.
    """
    trained = comparables(trained_prompts)
    wanted = round(test_fraction * len(rows))
    order = sorted(range(len(rows)), key=lambda index: _lot(seed, rows[index]["id"]))
    free = [index for index in order if trained.isdisjoint(asked_in(rows[index]))]
    held_out = set(free[:wanted])
    return Split(
        train=[row for index, row in enumerate(rows) if index not in held_out],
        test=[row for index, row in enumerate(rows) if index in held_out],
        shared=len(rows) - len(free),
    )


def means_agree(row: RankingRow, scores: Sequence[Sequence[float | None]]) -> bool:
    """Whether the order of the answers' mean scores is people's: no pair of answers stands the other way round, and at
    least one stands strictly right. `scores[i][k]` is the k-th judgement of answer i."""
    means = {i: mean for i, values in enumerate(scores) if (mean := mean_score(values)) is not None}
    agreements = [
        (means[i] - means[j]) * (row["answers"][j]["rank"] - row["answers"][i]["rank"])
        for i, j in combinations(means, 2)
        if row["answers"][i]["rank"] != row["answers"][j]["rank"]
    ]
    return bool(agreements) and min(agreements) >= 0 and max(agreements) > 0


def agreeing_rows(
    row: RankingRow, scores: Sequence[Sequence[float | None]], critiques: Sequence[Sequence[str]], read: Read
) -> list[EftRow]:
    """One judgement of each answer that has any, the kept scores in people's order; nothing when they cannot be.

    Each ends at its score, as `read` finds it, so that the example's score is one its text states.
    """
    judged = [i for i, values in enumerate(scores) if any(score is not None for score in values)]
    choice = agreeing_choice([row["answers"][i]["rank"] for i in judged], [scores[i] for i in judged])
    if choice is None:
        return []
    kept = ((i, scores[i][k], critiques[i][k]) for i, k in zip(judged, choice, strict=True))
    return [_row(row, i, until_score(critique, read), score) for i, score, critique in kept if score is not None]


def rank_rows(row: RankingRow, min_score: float, max_score: float) -> list[EftRow]:
    """Ranks mapped evenly to whole scores, without a critique: what `direct` learns from."""
    distinct = sorted({answer["rank"] for answer in row["answers"]})
    span = (max_score - min_score) / max(1, len(distinct) - 1)
    if len(distinct) < 2:
        return []
    return [
        _row(row, i, "", math.floor(max_score - span * distinct.index(answer["rank"]) + 0.5))
        for i, answer in enumerate(row["answers"])
    ]


def comparison_rows(row: RankingRow) -> list[EftRow]:
    """Ranks as verdicts on every two answers that people did not rank alike, in both orders: `direct` for a judge that
    compares."""
    ranks = [answer["rank"] for answer in row["answers"]]
    return [
        {
            "id": f"{row['id']}-{first}-{second}",
            "prompt": row["prompt"],
            "response": row["answers"][first]["content"],
            "other": row["answers"][second]["content"],
            "critique": "",
            "score": float(ranks[first] < ranks[second]),
        }
        for first, second in permutations(range(len(ranks)), 2)
        if ranks[first] != ranks[second]
    ]


def balanced(rows: Sequence[EftRow], *, max_share: float, seed: int) -> list[EftRow]:
    """At most `max_share` of the rows with one score; the surplus, drawn by `seed`, is dropped.

    With fewer scores than the share allows for, they are made even: two scores cannot both stay under 0.4.
    """
    counts = Counter(row["score"] for row in rows)
    if not counts:
        return []
    share = max(max_share, 1 / len(counts))
    cap = max(counts.values())
    while cap > 1 and cap > share * sum(min(count, cap) for count in counts.values()) + 1e-9:
        cap -= 1
    places: dict[float, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        places[row["score"]].append(index)
    kept = {
        index
        for indices in places.values()
        for index in sorted(indices, key=lambda index: _lot(seed, rows[index]["id"]))[:cap]
    }
    return [row for index, row in enumerate(rows) if index in kept]


def score_histogram(scores: Iterable[float]) -> dict[str, int]:
    """Examples by score, as text so that JSON keeps the keys."""
    return {f"{score:g}": count for score, count in sorted(Counter(scores).items())}


def _row(row: RankingRow, answer: int, critique: str, score: float) -> EftRow:
    return {
        "id": f"{row['id']}-{answer}",
        "prompt": row["prompt"],
        "response": row["answers"][answer]["content"],
        "critique": critique,
        "score": score,
    }


def _lot(seed: int, identifier: str) -> bytes:
    """A row's place in a draw that does not depend on the order or number of the other rows."""
    return sha256(f"{seed}\x1f{identifier}".encode()).digest()
