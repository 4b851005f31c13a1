"""Chat messages as the model's own template renders them, and what of them the loss is on.

The split is before the last assistant turn, by the template's generation prompt, so it is right for templates
without `{% generation %}` marks too: those cannot say which tokens of earlier turns are the assistant's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from jinja2 import TemplateError

from selfreward_steps.errors import PermanentError
from selfreward_steps.rows import Message

_PROBE = "selfreward-probe"


@dataclass(frozen=True)
class Lengths:
    """Tokens of one rendered conversation: `prompt` is what the completion's tokens follow."""

    prompt: int
    whole: int
    ends: bool
    """Whether the completion holds a token that ends generation; without one the model never learns to stop."""


class ChatTemplate:
    """One tokenizer's chat template. Raises PermanentError ChatTemplateMissing when it has none."""

    def __init__(self, tokenizer: Any, end_tokens: frozenset[int]) -> None:
        if not tokenizer.chat_template:
            raise PermanentError(
                "ChatTemplateMissing",
                "baseModel.chatTemplate: the model's tokenizer has no chat template, and none was given: "
                "set it to `default` or to a Jinja template",
            )
        self._tokenizer = tokenizer
        self._end_tokens = end_tokens
        self.takes_system = self._keeps_a_system_message()

    def fold_system(self, messages: Sequence[Message]) -> tuple[list[Message], bool]:
        """`messages` with the system text at the head of the first user turn, where the template takes no system.

        The second value says whether anything was folded.
        """
        system = [message["content"] for message in messages if message["role"] == "system"]
        if self.takes_system or not system:
            return list(messages), False
        rest = [message for message in messages if message["role"] != "system"]
        first = next((index for index, message in enumerate(rest) if message["role"] == "user"), None)
        if first is None:
            return [{"role": "user", "content": "\n\n".join(system)}, *rest], True
        rest[first] = {"role": "user", "content": "\n\n".join([*system, rest[first]["content"]])}
        return rest, True

    def lengths(self, prompt: Sequence[Message], completion: Sequence[Message], where: str) -> Lengths:
        """Count tokens as TRL tokenises a prompt and its completion; `where` names the row in an error.

        Raises PermanentError ChatTemplateRefuses when the template raises, as some do on roles out of turn.
        """
        try:
            before = self._tokens(prompt, add_generation_prompt=True)
            whole = self._tokens([*prompt, *completion], add_generation_prompt=False)
        except TemplateError as error:
            raise PermanentError(
                "ChatTemplateRefuses",
                f"{where}: the model's chat template refuses it ({error}): mend or remove the row",
            ) from error
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, whole, strict=False)))
        return Lengths(shared, len(whole), ends=not self._end_tokens.isdisjoint(whole[shared:]))

    def _tokens(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> list[int]:
        tokens: list[int] = self._tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=add_generation_prompt, tokenize=True, return_dict=False
        )
        return tokens

    def _keeps_a_system_message(self) -> bool:
        messages = [{"role": "system", "content": _PROBE}, {"role": "user", "content": "Hello"}]
        try:
            text: str = self._tokenizer.apply_chat_template(messages, tokenize=False)
        except TemplateError:
            return False
        # Some templates drop what they do not know instead of refusing it.
        return _PROBE in text


def split_at_last_answer(messages: Sequence[Message]) -> tuple[list[Message], list[Message]] | None:
    """The turns before the last assistant turn, and that turn alone; None when there is no answer to learn.

    What follows the last answer is left out: nothing in it is the assistant's.
    """
    last = max((index for index, message in enumerate(messages) if message["role"] == "assistant"), default=0)
    return (list(messages[:last]), [messages[last]]) if last > 0 else None
