"""The pairwise question and its verdicts."""

import pytest
from selfreward_steps.judging.comparison import comparison_message, outcome, stated_verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        pytest.param("A is better.\nVerdict: A", 1, id="first"),
        pytest.param("**Verdict:** B", -1, id="markdown"),
        pytest.param("verdict: tie.", 0, id="tie"),
        pytest.param("Verdict: A? No. Verdict: B", -1, id="the-last-counts"),
        pytest.param("Verdict: Absolutely", None, id="a-word-is-no-verdict"),
        pytest.param("A", None, id="nothing-stated"),
    ],
)
def test_verdicts(text: str, verdict: int | None) -> None:
    assert stated_verdict(text) == verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Verdict: A", 1),
        ("Verdict: B", -1),
        ("Verdict: tie", 0),
        ("verdict: a", 1),
        ("Verdict: a tie", 0),
        ("Verdict: A tie", 0),
        ("**Verdict: B**", -1),
        ("Verdict: [[B]]", -1),
        ("[[B]]", -1),
        ("[[A]]", 1),
        ("Verdict: (B)", -1),
        ('Verdict: "B"', -1),
        ("Verdict: Response B", -1),
        ("Verdict: Response B is better.", -1),
        ("Verdict: response-a", 1),
        ("Verdict: A or B", None),
        ("Verdict: A/B", None),
        ("Verdict: A, B", None),
        ("Verdict: A, Verdict: B or Verdict: tie", None),
        ("Verdict: A, B or tie", None),
        ("Verdict: A and B are equally good", 0),
        ("Verdict: It's a tie.", 0),
        ("Verdict: draw", 0),
        ("Verdict: Neither is better", 0),
        ("Verdict: Both are equally good", 0),
        ("Verdict: both are good, but Response B is clearer", -1),
        ("Verdict: A is better than B", 1),
        ("Verdict: A > B", 1),
        ("Verdict: A < B", -1),
        ("Verdict: A = B", 0),
        ("Verdict: A is worse", -1),
        ("Verdict: A is longer but B is better", None),
        ("Verdict: not a tie", None),
        ("Verdict: A good answer by B", -1),
        ("Verdict: A thorough answer", None),
        ("Verdict: A\nThis verdict is final.", 1),
        ("Verdict: A. On reflection, Verdict: B", -1),
        ("My verdict is B.", -1),
        ("Verdict - B", -1),
        ("Ｖｅｒｄｉｃｔ：Ｂ", -1),
        ("**Verdict:**\n\nB", -1),
        ("## Verdict\n\nResponse B", -1),
        ("Response A is good.\nTie", 0),
        ("", None),
        ("I cannot say", None),
        ("Winner: Assistant B", -1),
        ("<verdict>B</verdict>", -1),
        ("Verdict: <B>", -1),
        ("Verdict: the second response", -1),
        ("Verdict: I prefer Response A over Response B", 1),
        ("Verdict: B, because A is wrong", -1),
        ("Verdict: B (A has errors)", -1),
        ("Verdict: apple", None),
        ("Verdict: \\boxed{A}", 1),
        ("The verdict\nis hard: A and B both help", 0),
        ("Verdict: tie or B", None),
        ("A fine answer both times.\nVerdict: B", -1),
        ("Verdict: A because it is right", 1),
        ("Verdict: C", None),
        ("Verdict: B over A", -1),
        ("Verdict: Response A and Response B are tied", 0),
        ("Verdict: A; B is too long", 1),
        ("Verdict: 'A'", 1),
        ("Verdict: **Response A** wins", 1),
        ("Verdict: No clear winner; tie", 0),
        ("Verdict=A", 1),
        ("Verdict: A\n\nVerdict: unclear", 1),
        ("A", None),
        ("B", None),
        ("(B)", -1),
        ('"B"', -1),
        ("**B**", -1),
        ("Response B", -1),
    ],
)
def test_verdicts_as_judges_write_them(text: str, verdict: int | None) -> None:
    assert stated_verdict(text) == verdict


@pytest.mark.parametrize(
    ("forward", "backward", "result"),
    [
        pytest.param(1, -1, 1, id="wins-in-both-orders"),
        pytest.param(-1, 1, -1, id="loses-in-both-orders"),
        pytest.param(1, 1, 0, id="the-first-place-wins"),
        pytest.param(0, 0, 0, id="tie"),
        pytest.param(1, 0, 0, id="half"),
        pytest.param(None, -1, 0, id="unparsed"),
    ],
)
def test_two_orders_must_agree(forward: int | None, backward: int | None, result: int) -> None:
    assert outcome(forward, backward) == result


def test_texts_are_no_placeholders() -> None:
    message = comparison_message("say {first}", "{second}", "{prompt}")
    assert "User: say {first}\n\n<response-a>\n{second}\n</response-a>\n\n<response-b>\n{prompt}\n" in message
