"""Chat templates that would never stop, or that ask in another context than is learnt: mended and said, or refused."""

import json
from pathlib import Path

import pytest
from steps.importing.bringing import bring, edit, refusal
from steps.tiny_model import CHATML
from transformers import AutoTokenizer

CHAT = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
PROMPT = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
EMPTY = "<think>\n\n</think>\n\n"
# Qwen3's way: an empty thought before the last answer, and in the prompt when thinking is off.
HYBRID = CHATML.replace(
    "{{ message['content'] }}", "{% if message['role'] == 'assistant' and loop.last %}" + EMPTY + "{% endif %}"
    "{{ message['content'] }}"
).replace(
    PROMPT, "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is defined and "
    "enable_thinking is false %}" + EMPTY + "{% endif %}{% endif %}",
)  # fmt: skip
# GLM's way: a thought is opened in the prompt unless thinking is off.
OPENED = CHATML.replace(
    PROMPT, "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking | default(true) %}<think>\n"
    "{% endif %}{% endif %}",
)  # fmt: skip
# R1's way: a thought is always opened in the prompt, and no answer that is learnt has one.
ALWAYS = CHATML.replace(PROMPT, PROMPT.replace("assistant\n", "assistant\n<think>\n"))


def channels(before: str) -> str:
    """GPT-OSS's way: the answer's channel stands before it, and is not asked with."""
    opened = "{% if message['role'] == 'assistant' %}" + before + "{% endif %}"
    return CHATML.replace("{{ message['content'] }}", opened + "{{ message['content'] }}")


def set_ends(folder: Path, token: str, number: int) -> None:
    """What tokenizer and configurations say ends a text."""
    edit(folder / "tokenizer_config.json", lambda config: config.update(eos_token=token))
    for name in ("config.json", "generation_config.json"):
        edit(folder / name, lambda config: config.update(eos_token_id=number))


def test_generation_ends_where_the_template_ends_a_turn(tiny: Path, tmp_path: Path) -> None:
    set_ends(tiny, "<|endoftext|>", 0)
    before = (tiny / "generation_config.json").read_bytes()
    imported = bring(tiny, tmp_path)
    assert json.loads((imported.folder / "generation_config.json").read_text())["eos_token_id"] == [0, 2]
    said = "generation ends at '<|im_end|>' too, which ends a turn in the chat template"
    assert imported.metadata["repaired"] == [said]
    assert said in (imported.folder / "README.md").read_text()
    assert (tiny / "generation_config.json").read_bytes() == before


@pytest.mark.parametrize("stated", [None, 0, [0], "no file"], ids=["null", "one", "list", "no-file"])
def test_a_tokenizer_that_knows_better_than_the_generation_config(tiny: Path, tmp_path: Path, stated: object) -> None:
    """The tokenizer's own end token ends the turn; transformers reads the generation config alone."""
    if stated == "no file":
        (tiny / "generation_config.json").unlink()
        edit(tiny / "config.json", lambda config: config.update(eos_token_id=0))
    else:
        edit(tiny / "generation_config.json", lambda config: config.update(eos_token_id=stated))
    ends = json.loads((bring(tiny, tmp_path).folder / "generation_config.json").read_text())["eos_token_id"]
    assert ends == (2 if stated is None else [0, 2])


def test_several_ends_that_hold_the_turns_are_left_alone(tiny: Path, tmp_path: Path) -> None:
    edit(tiny / "generation_config.json", lambda config: config.update(eos_token_id=[0, 2]))
    assert bring(tiny, tmp_path).metadata["repaired"] == []


@pytest.mark.parametrize(
    "template",
    [CHATML.replace("<|im_end|>", ""), CHATML.replace("<|im_end|>", "<|eot_id|>")],
    ids=["nothing", "no-token-of-this-tokenizer"],
)
def test_a_turn_that_no_token_ends(tiny: Path, tmp_path: Path, template: str) -> None:
    message = refusal(tiny, tmp_path, "BadChatTemplate", chatTemplate=template)
    assert message.startswith("model.chatTemplate: the template ends an answer with ")
    assert "put {{ eos_token }} after it" in message


@pytest.mark.parametrize("template", [HYBRID, OPENED], ids=["empty-thought", "opened-thought"])
def test_thinking_is_switched_off_where_answers_are_learnt_without(tiny: Path, tmp_path: Path, template: str) -> None:
    imported = bring(tiny, tmp_path, chatTemplate=template)
    tokenizer = AutoTokenizer.from_pretrained(imported.folder)
    asked = tokenizer.apply_chat_template(CHAT[:1], tokenize=False, add_generation_prompt=True)
    assert tokenizer.apply_chat_template(CHAT, tokenize=False) == f"{asked}Hi<|im_end|>\n"
    said = "thinking switched off in the chat template (enable_thinking), since answers are learnt without it"
    assert imported.metadata["repaired"] == [said]


def test_a_thought_that_is_always_opened_is_refused(tiny: Path, tmp_path: Path) -> None:
    message = refusal(tiny, tmp_path, "BadChatTemplate", chatTemplate=ALWAYS)
    assert "asks for an answer with '<think>', which stands before no answer that is learnt" in message


def test_a_template_without_a_generation_prompt_is_refused(tiny: Path, tmp_path: Path) -> None:
    message = refusal(tiny, tmp_path, "BadChatTemplate", chatTemplate=CHATML.replace(PROMPT, ""))
    assert "does not begin the answer ('<|im_start|>assistant') where add_generation_prompt asks for it" in message


def test_what_stands_before_an_answer_is_asked_with(tiny: Path, tmp_path: Path) -> None:
    """A server would take the mark out of an answer, and leave the word."""
    imported = bring(tiny, tmp_path, chatTemplate=channels("final<|im_start|>"))
    tokenizer = AutoTokenizer.from_pretrained(imported.folder)
    asked = tokenizer.apply_chat_template(CHAT[:1], tokenize=False, add_generation_prompt=True)
    assert asked.endswith("<|im_start|>assistant\nfinal<|im_start|>")
    assert tokenizer.apply_chat_template(CHAT, tokenize=False) == f"{asked}Hi<|im_end|>\n"
    said = "the chat template asks with 'final<|im_start|>' too, which stands before each answer that is learnt"
    assert imported.metadata["repaired"] == [said]


def test_what_grows_together_with_the_answer_stays_the_models_to_write(tiny: Path, tmp_path: Path) -> None:
    """Asked with `final: `, the answer would begin with other tokens than are learnt after it."""
    assert bring(tiny, tmp_path, chatTemplate=channels("final: ")).metadata["repaired"] == []
