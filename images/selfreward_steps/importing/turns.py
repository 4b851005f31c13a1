"""How a chat template begins and ends the assistant's turn: what is asked must be what was learnt, and must end.

Found by rendering, template against template: a conversation that ends where the answer is asked for, and the same
with its answer, as training sees it.
"""

from __future__ import annotations

import json
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from selfreward_steps.errors import PermanentError
from selfreward_steps.importing.files import edit_json

USER: Final = {"role": "user", "content": "Qwxzq asks"}
ANSWER: Final = {"role": "assistant", "content": "Zvkjv answers"}
_SWITCHES: Final = ("enable_thinking", "thinking")
"""Variables that switch a template's thinking off: Qwen3's, SmolLM3's and GLM's; DeepSeek-V3.1's and Granite's."""


def render(tokenizer: Any, messages: list[dict[str, str]], *, prompt: bool) -> str:
    """The text of `messages`; with `prompt`, up to where the answer is asked for."""
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt))


def one_context(tokenizer: Any, where: str) -> list[str]:
    """Make `tokenizer` ask in the context that its answers are learnt in; returns what was changed, in words.

    A thinking template may open a thought where it asks, or put an empty one before each answer that is learnt: its
    thinking is switched off where it has a switch for that. Where a template only stops asking too early, as GPT-OSS's
    does before its channel, it asks with what stands before the answer too: a server takes marks out of an answer and
    leaves the words between them. Raises PermanentError BadChatTemplate where an answer
    would still be asked for in a context that no answer is learnt in.
    """
    problem, odd = _difference(tokenizer)
    own = tokenizer.chat_template
    if not odd or not isinstance(own, str):
        return []
    for switch in _SWITCHES:
        if switch in own:
            tokenizer.chat_template = f"{{%- set {switch} = false -%}}\n{own}"
            if not _difference(tokenizer)[1]:
                return [f"thinking switched off in the chat template ({switch}), since answers are learnt without it"]
    tokenizer.chat_template = own
    if problem is None:
        return _asked_further(tokenizer)
    raise PermanentError("BadChatTemplate", f"{where} {problem}: answers would be asked otherwise than they are learnt")


def end_turns(folder: Path, tokenizer: Any, where: str) -> list[str]:
    """Make generation end where the template ends a turn; returns what was changed in generation_config.json, in words.

    Raises PermanentError BadChatTemplate where no token ends the turn.
    """
    path = folder / "generation_config.json"
    stated = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
    ends = stated if isinstance(stated, list) else [] if stated is None else [stated]
    text = render(tokenizer, [USER, ANSWER], prompt=False)
    after = text[text.rindex(ANSWER["content"]) + len(ANSWER["content"]) :]
    ids = tokenizer(after, add_special_tokens=False)["input_ids"]
    if not set(ids).isdisjoint(ends):
        return []
    known = {tokenizer.eos_token_id} & set(ids) or set(tokenizer.added_tokens_decoder)
    end = next((each for each in ids if each in known), None)
    if end is None:
        raise PermanentError(
            "BadChatTemplate",
            f"{where} ends an answer with {after!r}, in which no token ends generation, so none would end: put "
            "{{ eos_token }} after it",
        )
    edit_json(path, {"eos_token_id": [*ends, end] if ends else end})
    return [f"generation ends at {tokenizer.convert_ids_to_tokens(end)!r} too, which ends a turn in the chat template"]


def highest_token(tokenizer: Any) -> tuple[int, str]:
    """The highest token id in a conversation, and the token."""
    ids = tokenizer(render(tokenizer, [USER, ANSWER, USER], prompt=True), add_special_tokens=False)["input_ids"]
    return max(ids), str(tokenizer.convert_ids_to_tokens(max(ids)))


def _asked_further(tokenizer: Any) -> list[str]:
    """Make `tokenizer` ask with all that stands before an answer; nothing where other tokens would be asked with."""
    own = tokenizer.chat_template
    asked, whole = render(tokenizer, [USER], prompt=True), render(tokenizer, [USER, ANSWER], prompt=False)
    between = whole.removeprefix(asked).partition(ANSWER["content"])[0]
    tokenizer.chat_template = f"{own}{{%- if add_generation_prompt -%}}{{{{- {json.dumps(between)} -}}}}{{%- endif -%}}"
    further = render(tokenizer, [USER], prompt=True)
    before, learnt = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (further, whole))
    # A blank most often is one token with the word after it.
    if further == asked + between and not between.endswith(" ") and learnt[: len(before)] == before:
        return [f"the chat template asks with {between!r} too, which stands before each answer that is learnt"]
    tokenizer.chat_template = own
    return []


def _difference(tokenizer: Any) -> tuple[str | None, bool]:
    """What is wrong with the context that is asked in, if anything is, and whether it is another one at all."""
    asked = render(tokenizer, [USER], prompt=True)
    whole = render(tokenizer, [USER, ANSWER], prompt=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(asked, whole, strict=False)))
    more, between = asked[shared:].strip(), whole[shared : whole.rindex(ANSWER["content"])].strip()
    if more:
        return f"asks for an answer with {more!r}, which stands before no answer that is learnt", True
    if between and asked == render(tokenizer, [USER], prompt=False):
        return f"does not begin the answer ({between!r}) where add_generation_prompt asks for it", True
    return None, bool(between)
