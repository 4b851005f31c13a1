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
