"""The wire format: what is read out of an answer, and what is refused as none."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfreward_steps.client.requests import ChatRequest, Choice, Completion, NonsenseAnswer, parse_completion, seed_for
from selfreward_steps.contract import Sampling


def answer(*choices: dict[str, Any], tokens: Any = 7) -> dict[str, Any]:
    return {"choices": list(choices), "usage": {"completion_tokens": tokens}}


def choice(text: Any, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}


def test_choices_come_in_the_order_of_their_index() -> None:
    completion = parse_completion(answer(choice("b", 1), choice("a", 0)), 5)
    assert completion == Completion(5, (Choice("a", "stop"), Choice("b", "stop")), 7)


def test_a_reasoning_model_that_ran_out_of_tokens_has_an_empty_answer() -> None:
    completion = parse_completion(answer({**choice(None), "finish_reason": "length"}), 0)
    assert completion.choices == (Choice("", "length"),)


def test_a_blank_that_the_template_puts_before_an_answer_is_none_of_it() -> None:
    (parsed,) = parse_completion(answer(choice(" An answer\n of two lines ")), 0).choices
    assert parsed.text == "An answer\n of two lines "


@pytest.mark.parametrize("usage", [None, {}, {"completion_tokens": None}, {"completion_tokens": "7"}, "7"])
def test_a_server_that_does_not_count_tokens(usage: Any) -> None:
    assert parse_completion({"choices": [choice("a")], "usage": usage}, 0).tokens is None


def test_first_token_alternatives() -> None:
    top = [{"token": " 4", "logprob": math.log(0.75)}, {"token": "The", "logprob": math.log(0.25)}]
    later = {"token": "x", "logprob": 0.0, "top_logprobs": []}
    logprobs = {"content": [{"token": " 4", "logprob": 0.0, "top_logprobs": top}, later]}
    (parsed,) = parse_completion(answer(choice("4 x", logprobs=logprobs)), 0).choices
    assert parsed.top == ((" 4", pytest.approx(0.75)), ("The", pytest.approx(0.25)))


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {},
        {"choices": None},
        {"choices": []},
        {"choices": "abc"},
        {"choices": [None]},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": 3}}]},
        {"choices": [{"message": {"content": "a"}, "index": "first"}]},
        {"choices": [{"message": {"content": "a"}, "logprobs": {"content": [{}]}}]},
        {"error": {"message": "no"}},
    ],
    ids=str,
)
def test_what_is_no_completion(body: Any) -> None:
    with pytest.raises(NonsenseAnswer):
        parse_completion(body, 0)


def test_optional_parts_are_left_out() -> None:
    request = ChatRequest(key=0, message="hi", sampling=Sampling(), seed=1)
    assert not {"n", "stop", "logprobs", "top_logprobs"} & set(request.body("m"))
    assert request.body("m")["messages"] == [{"role": "user", "content": "hi"}]


@given(st.integers(), st.text(), st.integers(0, 63))
def test_seeds_fit_every_server_with_room_for_n(seed: int, part: str, index: int) -> None:
    request = ChatRequest(key=0, message="", sampling=Sampling(), seed=seed_for(seed, part), samples=64)
    assert 0 <= request.single(index).seed < 2**31
    assert request.single(index).samples == 1
    assert seed_for(seed, part) == seed_for(seed, part)


def test_seeds_differ() -> None:
    seeds = {seed_for(run, part) for run in range(10) for part in range(1000)}
    assert len(seeds) > 9990
    assert seed_for(0, "ab", "c") != seed_for(0, "a", "bc")
