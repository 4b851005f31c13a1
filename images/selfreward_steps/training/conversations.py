"""Chat messages as the model's own template renders them, and what of them the loss is on.

Where an answer begins and ends is found by rendering the conversation up to there, with the template's generation
prompt and without, so it is right for templates without `{% generation %}` marks too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

from jinja2 import TemplateError

from selfreward_steps.errors import PermanentError
from selfreward_steps.rows import Message

_PROBE = "selfreward-probe"
NOT_LEARNT: Final = -100
"""The label of a token without loss: PyTorch's `ignore_index`."""


@dataclass(frozen=True)
class Lengths:
    """Tokens of one rendered conversation: `prompt` is what the completion's tokens follow."""

    prompt: int
    whole: int
    ends: bool
    """Whether the completion holds a token that ends generation; without one the model never learns to stop."""


@dataclass(frozen=True)
class Learnt:
    """One training sequence: its tokens, and which of them are the answers' (places from, to)."""

    tokens: list[int]
    answers: list[tuple[int, int]]
    ends: bool
    """Whether every answer holds a token that ends generation."""

    @property
    def labels(self) -> list[int]:
        """The tokens themselves where they are learnt, NOT_LEARNT elsewhere."""
        labels = [NOT_LEARNT] * len(self.tokens)
        for start, stop in self.answers:
            labels[start:stop] = self.tokens[start:stop]
        return labels


class ChatTemplate:
    """One tokenizer's chat template. Raises PermanentError ChatTemplateMissing when it has none."""

    def __init__(self, tokenizer: Any, end_tokens: frozenset[int]) -> None:
        if not tokenizer.chat_template:
            raise PermanentError(
                "ChatTemplateMissing",
                "model.chatTemplate: the model's tokenizer has no chat template, and none was given: "
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

    def learnt(self, prompt: Sequence[Message], completion: Sequence[Message], where: str) -> list[Learnt]:
        """The sequences to learn every answer of `completion` from, which begins with one; `where` names the row.

        It is one sequence, unless the template renders an answer otherwise once the conversation goes on (some leave
        out its reasoning then): each answer is then learnt by itself, as it is rendered when it is given. Raises
        PermanentError ChatTemplateRefuses.
        """
        messages, first = [*prompt, *completion], len(prompt)
        turns = [place for place in range(first, len(messages)) if messages[place]["role"] == "assistant"]
        with _told(where):
            whole = self._tokens(messages, add_generation_prompt=False)
            spans = [self._span(messages, turn, whole) for turn in turns]
            if (known := [span for span in spans if span is not None]) == spans:
                return [self._learnt(whole, known)]
            return [self._alone(messages[: turn + 1]) for turn in turns]

    def _alone(self, messages: Sequence[Message]) -> Learnt:
        tokens = self._tokens(messages, add_generation_prompt=False)
        before = self._tokens(messages[:-1], add_generation_prompt=True)
        return self._learnt(tokens, [(_shared(before, tokens), len(tokens))])

    def _learnt(self, tokens: list[int], answers: list[tuple[int, int]]) -> Learnt:
        ends = all(not self._end_tokens.isdisjoint(tokens[start:stop]) for start, stop in answers)
        return Learnt(tokens, answers, ends)

    def _span(self, messages: Sequence[Message], turn: int, whole: list[int]) -> tuple[int, int] | None:
        """Where in `whole` that turn's answer stands; None where it is not rendered as it is when it is the last."""
        start = _shared(self._tokens(messages[:turn], add_generation_prompt=True), whole)
        if turn == len(messages) - 1:
            return start, len(whole)
        until = self._tokens(messages[: turn + 1], add_generation_prompt=False)
        return (start, len(until)) if _shared(until, whole) == len(until) else None

    def lengths(self, prompt: Sequence[Message], completion: Sequence[Message], where: str) -> Lengths:
        """Count tokens as TRL tokenises a prompt and its completion; `where` names the row in an error.

        Raises PermanentError ChatTemplateRefuses when the template raises, as some do on roles out of turn.
        """
        with _told(where):
            before = self._tokens(prompt, add_generation_prompt=True)
            whole = self._tokens([*prompt, *completion], add_generation_prompt=False)
        shared = _shared(before, whole)
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


def split_at_first_answer(messages: Sequence[Message]) -> tuple[list[Message], list[Message]] | None:
    """The turns before the first answer, and all from it to the last; None when there is no answer to learn.

    An assistant's turn that nothing stands before answers nothing. What follows the last answer is left out: nothing
    in it is the assistant's.
    """
    answers = [place for place, message in enumerate(messages) if message["role"] == "assistant" and place > 0]
    return (list(messages[: answers[0]]), list(messages[answers[0] : answers[-1] + 1])) if answers else None


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens they begin with in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Name the row that the template refuses."""
    try:
        yield
    except TemplateError as error:
        raise PermanentError(
            "ChatTemplateRefuses",
            f"{where}: the model's chat template refuses it ({error}): mend or remove the row",
        ) from error
