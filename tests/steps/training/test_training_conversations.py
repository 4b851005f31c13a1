"""Chat templates: what is split, folded and counted."""

from itertools import groupby

import pytest
from datasets import Dataset
from selfreward_steps.errors import PermanentError
from selfreward_steps.rows import Message
from selfreward_steps.training.conversations import NOT_LEARNT, ChatTemplate, split_at_first_answer
from tiny_model import CHATML, make_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM
from trl import SFTConfig, SFTTrainer

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
        ([A, B, C, B], ([A], [B, C, B])),
        ([A, B, C], ([A], [B])),
        ([B, A, B, C], ([B, A], [B])),
        ([A], None),
        ([B], None),
        ([], None),
    ],
    ids=[
        "one turn",
        "two turns",
        "question after the answer",
        "greeting first",
        "no answer",
        "greeting alone",
        "empty",
    ],
)
def test_split_at_first_answer(messages: list[Message], expected: object) -> None:
    assert split_at_first_answer(messages) == expected


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


def learnt_texts(template: str, messages: list[Message]) -> list[list[str]]:
    """By sequence, the stretches that have a loss."""
    tokenizer = make_tokenizer()
    tokenizer.chat_template = template
    parts = split_at_first_answer(messages)
    assert parts is not None
    found = []
    for each in ChatTemplate(tokenizer, frozenset({tokenizer.eos_token_id})).learnt(*parts, "row 1"):
        assert len(each.labels) == len(each.tokens)
        assert all(label in (NOT_LEARNT, token) for label, token in zip(each.labels, each.tokens, strict=True))
        runs = groupby(each.labels, lambda label: label != NOT_LEARNT)
        found.append([tokenizer.decode(list(run)) for is_learnt, run in runs if is_learnt])
        assert each.ends
    return found


TURNS = [A, _say("assistant", "<think>hm</think>b"), C, _say("assistant", "<think>so</think>d")]
FORGETFUL = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{{ m['content'] if loop.last else m['content'].split('</think>')[-1] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Leaves out the reasoning of earlier answers, as Qwen3's and DeepSeek's templates do."""


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param(CHATML, [["<think>hm</think>b<|im_end|>\n", "<think>so</think>d<|im_end|>\n"]], id="one sequence"),
        pytest.param(
            FORGETFUL,
            [["<think>hm</think>b<|im_end|>\n"], ["<think>so</think>d<|im_end|>\n"]],
            id="each as it is rendered when it is given",
        ),
    ],
)
def test_every_answer_of_a_conversation_is_learnt(template: str, expected: list[list[str]]) -> None:
    assert learnt_texts(template, TURNS) == expected


def test_nothing_else_is_learnt() -> None:
    """Not a system message in between, not what comes before the first question, not what follows the last answer."""
    greeting, remark = _say("assistant", "hello"), _say("system", "be brief")
    assert learnt_texts(CHATML, [greeting, A, B, remark, C, B, A]) == [["b<|im_end|>\n", "b<|im_end|>\n"]]


def test_a_single_answer_is_what_trl_makes_of_prompt_and_completion() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = CHATML
    rows = [{"prompt": [A], "completion": [B]}, {"prompt": [A, B, C], "completion": [_say("assistant", "d e f")]}]
    args = SFTConfig(output_dir="unused", completion_only_loss=True, max_length=64, report_to="none", use_cpu=True)
    model = LlamaForCausalLM(
        LlamaConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    )
    prepared = SFTTrainer(model, args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer).train_dataset
    template = ChatTemplate(tokenizer, frozenset({tokenizer.eos_token_id}))
    for row, ours in zip(rows, prepared, strict=True):
        (mine,) = template.learnt(row["prompt"], row["completion"], "row")
        assert (mine.tokens, mine.labels) == (ours["input_ids"], ours["labels"])


def test_an_answer_that_never_ends_is_seen() -> None:
    endless = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    assert not _template(endless).lengths([A], [B], "row 1").ends
    assert [each.ends for each in _template(endless).learnt([A], [B, C, B], "row 1")] == [False]


def test_a_row_that_the_template_refuses_is_named() -> None:
    template = _template(STRICT)
    for measure in (template.lengths, template.learnt):
        with pytest.raises(PermanentError, match="row 7: the model's chat template refuses it") as error:
            measure([_say("system", "s"), A], [B], "row 7")
        assert error.value.reason == "ChatTemplateRefuses"
