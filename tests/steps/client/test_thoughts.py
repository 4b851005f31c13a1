"""What a reasoning model thought is no part of what it says."""

import pytest
from selfreward_steps.client.requests import parse_completion
from selfreward_steps.client.thoughts import without_thoughts

ANSWER = "A bicycle stays upright because it steers into its fall."


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"<think>\n\n</think>\n\n{ANSWER}", id="no thoughts between the marks"),
        pytest.param(f"<think>\nGyroscopes? No.\n</think>\n\n{ANSWER}", id="DeepSeek-R1, Qwen3"),
        pytest.param(f"\n<think>Steering.</think>{ANSWER}", id="on one line"),
        pytest.param(f"Okay, bicycles. Steering it is.\n</think>\n\n{ANSWER}", id="opened by the template"),
        pytest.param(f"So it is steering.</think>\n{ANSWER}", id="opened by the template, closed at a line's end"),
        pytest.param(f"[THINK]Steering.[/THINK]{ANSWER}", id="Magistral"),
        pytest.param(f"<thought>\nSteering.\n</thought>\n\n{ANSWER}", id="EXAONE"),
        pytest.param(f"<|begin_of_thought|>\n\nSteering.\n\n<|end_of_thought|>\n\n{ANSWER}", id="Sky-T1"),
        pytest.param(f"<think>One.</think>\n<think>Two.</think>\n{ANSWER}", id="twice"),
    ],
)
def test_thoughts_are_taken_off(text: str) -> None:
    assert without_thoughts(text) == ANSWER


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param("<think>\nWait, let me", "", id="cut off while it thinks"),
        pytest.param("So it is steering.\n</think>", "", id="cut off after its thoughts"),
    ],
)
def test_thoughts_alone_are_no_answer(text: str, left: str) -> None:
    assert without_thoughts(text) == left


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(ANSWER, id="plain"),
        pytest.param(f"  {ANSWER}\n", id="blanks stay"),
        pytest.param("Close it with `</think>` and answer.", id="speaks of the mark"),
        pytest.param("Such a model writes <think>reasons</think> first.", id="shows the marks"),
        pytest.param("Its output:\n```\n<think>\nreasons\n</think>\nanswer\n```", id="shows an example"),
        pytest.param("I think <b>so</b>.", id="another mark"),
        pytest.param("", id="nothing"),
    ],
)
def test_an_answer_that_has_none_is_left_as_it_is(text: str) -> None:
    assert without_thoughts(text) == text


def test_every_answer_of_a_server_is_without_them() -> None:
    choices = [
        {"index": 1, "message": {"content": f"<think>x</think>\n\n{ANSWER}"}, "finish_reason": "stop"},
        {"index": 0, "message": {"content": "<think>x"}, "finish_reason": "length"},
    ]
    first, second = parse_completion({"choices": choices}, 0).choices
    assert (first.text, first.finish_reason) == ("", "length")
    assert (second.text, second.finish_reason) == (ANSWER, "stop")
