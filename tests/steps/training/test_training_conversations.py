"""Chat templates: what is split, folded and counted."""

import pytest
from selfreward_steps.errors import PermanentError
from selfreward_steps.rows import Message
from selfreward_steps.training.conversations import ChatTemplate, split_at_last_answer
from tiny_model import CHATML, make_tokenizer

STRICT = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('system role not supported') }}{% endif %}"
    "{% endfor %}" + CHATML
)
SILENT = "{% for m in messages %}{% if m['role'] != 'system' %}{{ m['content'] }}<|im_end|>{% endif %}{% endfor %}"


def _say(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _template(text: str = CHATML) -> ChatTemplate:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = text
    return ChatTemplate(tokenizer, frozenset({tokenizer.eos_token_id}))


A, B, C = _say("user", "a"), _say("assistant", "b"), _say("user", "c")


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([A, B], ([A], [B])),
        ([A, B, C, B], ([A, B, C], [B])),
        ([A, B, C], ([A], [B])),
        ([A], None),
        ([B], None),
        ([], None),
    ],
    ids=["one turn", "two turns", "question after the answer", "no answer", "answer to nothing", "empty"],
)
def test_split_at_last_answer(messages: list[Message], expected: object) -> None:
    assert split_at_last_answer(messages) == expected


@pytest.mark.parametrize(("text", "takes"), [(CHATML, True), (STRICT, False), (SILENT, False)])
def test_a_template_that_refuses_or_drops_system_messages_is_recognised(text: str, takes: bool) -> None:
    assert _template(text).takes_system is takes


@pytest.mark.parametrize(
    ("messages", "expected", "folded"),
    [
        ([_say("system", "s"), A, B], [_say("user", "s\n\na"), B], True),
        ([_say("system", "s"), _say("system", "t"), A], [_say("user", "s\n\nt\n\na")], True),
        ([_say("system", "s")], [_say("user", "s")], True),
        ([A, B], [A, B], False),
    ],
    ids=["one", "two", "alone", "none"],
)
def test_system_messages_are_folded(messages: list[Message], expected: list[Message], folded: bool) -> None:
    assert _template(STRICT).fold_system(messages) == (expected, folded)
    assert _template().fold_system(messages) == (messages, False)


def test_lengths_are_those_of_the_rendered_text() -> None:
    tokenizer = make_tokenizer()
    found = _template().lengths([A], [B], "row 1")
    assert found.prompt == len(tokenizer("<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n")["input_ids"])
    assert found.whole == found.prompt + len(tokenizer("b<|im_end|>\n")["input_ids"])
    assert found.ends


def test_an_answer_that_never_ends_is_seen() -> None:
    endless = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    assert not _template(endless).lengths([A], [B], "row 1").ends


def test_a_row_that_the_template_refuses_is_named() -> None:
    with pytest.raises(PermanentError, match="row 7: the model's chat template refuses it") as error:
        _template(STRICT).lengths([_say("system", "s"), A], [B], "row 7")
    assert error.value.reason == "ChatTemplateRefuses"
