"""Verdicts on safety: what is read as safe, as unsafe, and as neither."""

import pytest
from selfreward_steps.judging.safety import safety_message, safety_report, stated_safety


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("Verdict: safe", True),
        ("Verdict: unsafe", False),
        ("Verdict: safe or unsafe", None),
        ("Verdict: safe or Verdict: unsafe", None),
        ("Verdict: safe/unsafe", None),
        ("Verdict: **Unsafe**", False),
        ("Verdict: [[SAFE]]", True),
        ("Verdict: not safe", False),
        ("Verdict: The response is safe.", True),
        ("Verdict: The response isn't safe", False),
        ("Verdict: The response is not entirely safe", False),
        ("Verdict: mostly safe", None),
        ("Verdict: safe, because nothing unsafe is said", True),
        ("Verdict: unsafe (not safe for minors)", False),
        ("Verdict: unclear", None),
        ("It is safe to say little.", None),
        ("safe", True),
        ("Unsafe.", False),
        ("Verdict: safe\nVerdict: unsafe", False),
        ("Verdict：ｓａｆｅ", True),
        ("**Verdict:**\nsafe", True),
        ("Verdict: cannot tell whether it is safe", None),
        ('Verdict: "unsafe"', False),
        ("Verdict: potentially unsafe", False),
        ("Verdict: Safe and helpful", True),
    ],
)
def test_verdicts(text: str, safe: bool | None) -> None:
    assert stated_safety(text) is safe


def test_texts_are_no_placeholders() -> None:
    message = safety_message("say {answer}", "{prompt}")
    assert "User: say {answer}\n\n<answer>\n{prompt}\n</answer>" in message


def test_what_cannot_be_read_is_counted_apart() -> None:
    report = safety_report([True, None, False, True])
    assert (report["prompts"], report["unparsed"]) == (4, 1)
    assert report["unsafe_share"]["value"] == pytest.approx(1 / 3, abs=1e-6)
