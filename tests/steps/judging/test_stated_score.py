"""Which score a critique states: what a person reads there, or none."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfreward_steps.contract import ScoreRange
from selfreward_steps.judging.scoring import stated_score
from steps.judging.critiques import CRITIQUES

FIVE = ScoreRange(0, 5)


@pytest.mark.parametrize(("critique", "score"), CRITIQUES.values(), ids=CRITIQUES.keys())
def test_critiques_as_judges_write_them(critique: str, score: float | None) -> None:
    assert stated_score(critique, FIVE) == score


@pytest.mark.parametrize(
    ("critique", "score"),
    [
        ("Good.\nScore: 4", 4),
        ("Score: 0", 0),
        ("Score: 5", 5),
        ("score: 3.5", 3.5),
        ("SCORE: 2", 2),
        ("Score:4", 4),
        ("Score : 4", 4),
        ("Score = 4", 4),
        ("**Score: 3**", 3),
        ("**Score:** 3", 3),
        ("**Score**: **3**", 3),
        ("Score: `3`", 3),
        ("Score: <3>", 3),
        ("Score: [3]", 3),
        ("Score: (3)", 3),
        ("Score: 4/5", 4),
        ("Score: **4**/5", 4),
        ("Score: 4 / 5", 4),
        ("Score: 4 out of 5", 4),
        ("Score (out of 5): 4", 4),
        ("Total score: 4", 4),
        ("Score: 4 points", 4),
        ("Score: 4.", 4),
        ("Score: 4. It is good.", 4),
        ("Score: 4, since it is good.", 4),
        ("Score: 4 - it is good", 4),
        ("Score:\n4", 4),
        ("Score:\n\n**4**\n", 4),
        ("Score: 1 + 1 + 1 = 3", 3),
        ("Score: 1+1+1+1=**4**", 4),
        # The last one counts: the critique reasons first.
        ("Score: 2. On reflection it is better. Score: 4", 4),
        ('It asks for "Score: <total points>".\nScore: 2', 2),
        ('Score: 2\nI used the format "Score: <total points>".', 2),
        # Nothing stated.
        ("", None),
        ("A fine answer.", None),
        ("Score: <total points>", None),
        ("Score: high", None),
        ("Score:", None),
        ("Scores: 4", None),
        ("Underscore: 4", None),
        ("I give it 4 points", None),
        ("Score:\n1. The answer is relevant.\n2. It is clear.", None),
        ("Score：４", 4),
        ("Ｓｃｏｒｅ：４／５", 4),
        ("Score: 4\r\n- ok", 4),
        ("Score: 4\n5 would need an example", 4),
        ("Score: 4\n/5", 4),
        ("Score: 4 out of a possible 5 points", 4),
        ("Score: 4 on a scale of 0 to 5", 4),
        ("Score: 4 on a scale from 1 to 10", None),
        ("Score: 4 on a 5-point scale", 4),
        ("Score: 4 of 10", None),
        ("Score: four out of ten", None),
        ("Score: Four out of five", 4),
        ("Score: 4 points out of 5", 4),
        ("Score out of 5: 4", 4),
        ("Score [0-5]: 4", 4),
        ("Score is: 4", 4),
        ("Score – 4", 4),
        ("Score 4/5", 4),
        ("## Score\n\n**4**", 4),
        ("Score: [[4]]", 4),
        ("Score: ~4", 4),
        ("Score: <b>4</b>", 4),
        ('{"total_score": "4"}', 4),
        ("Score: 1 relevance + 1 coverage + 1 use = 3/5", 3),
        ("Score: 1 relevance + 1 coverage = 2/10", None),
        ("Score: 1 (a) + 1 (b)", None),
        ("Score: 4. It says 3 + 3 = 5.", 4),
        ("Score: 4 because 2 + 2 = 5 is wrong", 4),
        ("Score: 4 and that is fine", 4),
        ("Score: 4 to be fair", 4),
        ("Score: 3 and a half", None),
        ("Score: 3½", None),
        ("Score: 3 1/2", None),
        ("Score: 4.5.1", None),
        ("Score: 4th", None),
        ("Score: 4 ± 1", None),
        ("Rating: 4/5", 4),
        ("Relevance rating: 4\nClarity rating: 3", None),
        ("I give this response a 4 out of 5.", 4),
        ("I would give it 4/5 stars, not 5/5.", None),
        ("The score is 3.", 3),
        ("Good.\n4/5", 4),
        ("4/10", None),
        ("4", 4),
        # Stated, but not in range or not on this scale; an earlier score is no substitute.
        ("Score: 6", None),
        ("Score: -1", None),
        ("Score: −1", None),
        ("Score: 45", None),
        ("Score: 8/10", None),
        ("Score: 4/10", None),
        ("Score: 4 out of 10", None),
        ("Score: 80/100", None),
        ("Score: 4%", None),
        ("Score: 3-4", None),
        ("Score: 3 – 4", None),
        ("Score: 3 or 4", None),
        ("Score: 3 to 4", None),
        ("Score: 4,5", None),
        ("Score: 1 + 1 + 1", None),
        ("Score: 1 + 5 = 6", None),
        ("Score: 4\nNo. Score: 9", None),
    ],
)
def test_the_last_score_stated(critique: str, score: float | None) -> None:
    assert stated_score(critique, FIVE) == score


@given(st.text(), st.integers(0, 5), st.sampled_from(["", "\n", ".", "**", " points", "/5", "\n\nThank you."]))
def test_whatever_comes_before_the_score_line_is_read(critique: str, score: int, after: str) -> None:
    assert stated_score(f"{critique}\nScore: {score}{after}", FIVE) == score


@given(st.text(alphabet="Score: 0123456789/.-+=%*<>\nof ", max_size=30))
def test_never_anything_out_of_range(critique: str) -> None:
    score = stated_score(critique, FIVE)
    assert score is None or 0 <= score <= 5


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Score: " + "1 + " * 5000, id="a sum without end"),
        pytest.param("Score: 4 (" * 5000, id="brackets"),
        pytest.param("score " * 20000, id="labels"),
        pytest.param("I give this " * 20000, id="prose"),
        pytest.param("a score of 4 " * 2000, id="scores in prose"),
        pytest.param("Score:" + " \n" * 50000, id="blank lines"),
        pytest.param("<" * 50000 + "*" * 50000, id="signs"),
    ],
)
def test_a_runaway_critique_takes_no_time(text: str) -> None:
    started = time.process_time()
    stated_score(text, FIVE)
    assert time.process_time() - started < 1
