"""Prompts that are the same however they are written, and those that are not."""

from __future__ import annotations

import pytest
from selfreward_steps.measuring.overlap import comparable, comparables, questions_in
from selfreward_steps.rows import Message


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("Name a river.", "name  A\nriver", True, id="case, space, full stop"),
        pytest.param("Wie groß ist es?", "WIE GROSS IST ES", True, id="case folding"),
        pytest.param("Ｎａｍｅ a ﬁsh", "Name a fish", True, id="full width, ligature"),
        pytest.param("“Quote”, she said", '"quote" she said', True, id="quotation marks"),
        pytest.param("河の名前は？", "河の名前は", True, id="ideographic punctuation"),
        pytest.param("Name a river", "Name a rivulet", False, id="another word"),
        pytest.param("What is 2+2?", "What is 22?", False, id="a sum is no number"),
        pytest.param("What is 2-2?", "What is 22?", False, id="nor is a difference"),
        pytest.param("...", "?!", False, id="punctuation alone"),
    ],
)
def test_prompts_are_compared_by_their_words(one: str, other: str, same: bool) -> None:
    assert (comparable(one) == comparable(other)) is same


def test_an_empty_prompt_is_like_no_other() -> None:
    assert comparables(["", " \n"]) == set()


def test_a_conversation_asks_each_of_its_questions() -> None:
    turns: list[Message] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "A river?"},
        {"role": "assistant", "content": "The Ebro."},
        {"role": "user", "content": "How long?"},
    ]
    assert list(questions_in(turns)) == ["Be brief.\n\nA river?", "A river?", "How long?"]
