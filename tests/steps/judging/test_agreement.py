"""Which judgements are kept, which prompts test the judge, and how scores are evened out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfreward_steps.contract import ScoreRange
from selfreward_steps.judging.agreement import agreeing_rows, balanced, means_agree, rank_rows, split_rankings
from selfreward_steps.judging.scoring import stated_score
from selfreward_steps.rows import EftRow, RankingRow


def ranking(ranks: list[int], identity: str = "p") -> RankingRow:
    answers = [{"content": f"answer {i}", "rank": rank} for i, rank in enumerate(ranks)]
    return {"id": identity, "prompt": f"prompt {identity}", "answers": answers}  # type: ignore[typeddict-item]


def stated(critique: str) -> float | None:
    return stated_score(critique, ScoreRange(0, 5))


def example(score: float, identity: int) -> EftRow:
    return {"id": str(identity), "prompt": "p", "response": "r", "critique": "c", "score": score}


@pytest.mark.parametrize(
    ("ranks", "scores", "kept"),
    [
        pytest.param([0, 1], [[5, 5, 5], [2, 2, 2]], 2, id="agrees"),
        pytest.param([0, 1], [[2, 2, 2], [5, 5, 5]], 0, id="reversed"),
        pytest.param([0, 1], [[3, 3, 3], [3, 3, 3]], 0, id="all-tied"),
        pytest.param([0, 1, 2], [[5, 5, 5], [3, 3, 3], [3, 3, 3]], 3, id="a-tie-is-no-contradiction"),
        pytest.param([0, 1, 2], [[5, 5, 5], [1, 1, 1], [3, 3, 3]], 0, id="one-pair-reversed"),
        pytest.param([0, 0], [[5, 5, 5], [1, 1, 1]], 0, id="people-agree-on-nothing"),
        pytest.param([0, 1], [[5, 5, 5], [None, None, None]], 0, id="one-answer-without-score"),
        pytest.param([0, 1, 2], [[5, None, 5], [None, None, None], [1, 1, 1]], 2, id="the-unscored-one-is-left-out"),
    ],
)
def test_a_prompt_is_kept_when_its_order_is_peoples(
    ranks: list[int], scores: list[list[float | None]], kept: int
) -> None:
    critiques = [[f"critique {i}-{k}" for k in range(3)] for i in range(len(ranks))]
    agree = means_agree(ranking(ranks), scores)
    assert agree is bool(kept)
    assert len(agreeing_rows(ranking(ranks), scores, critiques, stated) if agree else []) == kept


def test_the_critique_nearest_to_the_mean_is_kept_with_the_score_it_states() -> None:
    critiques = [["five", "four", "three"], ["one", "?", "zero"]]
    rows = agreeing_rows(ranking([0, 1]), [[5, 4, 3], [1, None, 0]], critiques, stated)
    assert [(row["critique"], row["score"]) for row in rows] == [("four", 4), ("one", 1)]
    assert [row["response"] for row in rows] == ["answer 0", "answer 1"]


def test_a_prompt_whose_means_agree_alone_is_dropped() -> None:
    scores: list[list[float | None]] = [[4, 4, 4], [5, 5, 1], [3, 3, 3]]
    assert means_agree(ranking([0, 1, 2]), scores)
    assert agreeing_rows(ranking([0, 1, 2]), scores, [["a", "b", "c"]] * 3, stated) == []


@pytest.mark.parametrize(
    ("ranks", "scores"),
    [
        pytest.param([0, 1], [5, 0], id="two"),
        pytest.param([2, 0, 1], [0, 5, 3], id="three-in-any-order"),
        pytest.param([0, 1, 1, 2], [5, 3, 3, 0], id="ties-share"),
        pytest.param([1, 1], [], id="no-order"),
    ],
)
def test_ranks_become_scores(ranks: list[int], scores: list[int]) -> None:
    rows = rank_rows(ranking(ranks), min_score=0, max_score=5)
    assert [row["score"] for row in rows] == scores
    assert all(row["critique"] == "" for row in rows)


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), max_size=60), st.floats(0.1, 1))
def test_no_score_has_more_than_its_share(scores: list[float], share: float) -> None:
    rows = [example(score, index) for index, score in enumerate(scores)]
    kept = balanced(rows, max_share=share, seed=3)
    counts = [sum(row["score"] == score for row in kept) for score in set(scores)]
    assert all(count > 0 for count in counts)
    allowed = max(share, 1 / len(counts)) * len(kept) if counts else 0
    assert max(counts, default=0) <= max(allowed + 1e-6, 1)
    assert [row for row in rows if row in kept] == kept
    assert kept == balanced(rows, max_share=share, seed=3)


def test_balance_drops_no_more_than_it_must() -> None:
    rows = [example(4.0, index) for index in range(10)] + [example(float(score), 10 + score) for score in range(4)]
    kept = balanced(rows, max_share=0.5, seed=0)
    assert sum(row["score"] == 4 for row in kept) == 4
    assert len(kept) == 8


def test_the_test_set_shares_no_prompt_with_training() -> None:
    rows = [ranking([0, 1], str(index)) for index in range(20)]
    split = split_rankings(rows, test_fraction=0.25, trained_prompts={"Prompt  3", "“prompt” 4?"}, seed=5)
    assert len(split.test) == 5
    assert split.shared == 2
    assert {row["id"] for row in split.test} & {"3", "4"} == set()
    assert sorted(row["id"] for row in split.train + split.test) == sorted(row["id"] for row in rows)


def test_the_draw_does_not_depend_on_the_other_rows() -> None:
    rows = [ranking([0, 1], str(index)) for index in range(20)]
    first = split_rankings(rows, test_fraction=0.5, trained_prompts=(), seed=1)
    again = split_rankings(rows[::-1], test_fraction=0.5, trained_prompts=(), seed=1)
    other = split_rankings(rows, test_fraction=0.5, trained_prompts=(), seed=2)
    assert {row["id"] for row in first.test} == {row["id"] for row in again.test}
    assert {row["id"] for row in first.test} != {row["id"] for row in other.test}


def test_a_conversation_is_no_test_of_a_judge_that_learnt_an_answer_in_it() -> None:
    turns = [{"role": "user", "content": "Name a river."}, {"role": "assistant", "content": "The Ebro."}]
    asked = [{"role": "system", "content": "Be brief."}, *turns, {"role": "user", "content": "How long is it?"}]
    row: RankingRow = {**ranking([0, 1]), "messages": asked}  # type: ignore[typeddict-item]
    for trained in ("Name a river.", "How long is it?", "prompt p"):
        assert split_rankings([row], test_fraction=1.0, trained_prompts={trained}, seed=0).shared == 1
    assert split_rankings([row], test_fraction=1.0, trained_prompts={"Be brief."}, seed=0).test == [row]
