"""A model's chat template, tried out on import, and the tokens that end and pad a turn.

Nothing here trains or serves. A template is the model's own code, run by transformers in Jinja's sandbox.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from selfreward_steps.errors import PermanentError
from selfreward_steps.importing.turns import ANSWER, USER, one_context, render

DEFAULT: Final = "default"
"""`model.chatTemplate: default` asks for :data:`PLAIN_TEMPLATE`."""
PLAIN_TEMPLATE: Final = (
    "{%- for message in messages -%}\n"
    "{{- '### ' + message['role'] | capitalize + ':\\n' + message['content'] | trim -}}\n"
    "{%- if message['role'] == 'assistant' -%}{{- eos_token -}}{%- endif -%}\n"
    "{{- '\\n\\n' -}}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}{{- '### Assistant:\\n' -}}{%- endif -%}"
)
"""For base models, which know no special turn tokens: headings of plain text, and the end token after an answer."""
_BOS: Final = "{{- bos_token -}}"

END_OF_TURN: Final = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "</s>", "<|endoftext|>")
"""Tokens that end a turn or a text in well-known models, for a tokenizer that does not name its own."""


@dataclass(frozen=True)
class Chat:
    """What was found out about a tokenizer, for the manifest and the model card."""

    system_role: bool
    """Whether the template takes a system message and shows it."""
    template: str
    """`own`, `default` or `given`."""
    repaired: list[str] = field(default_factory=list)
    """What was changed, in words."""
    where: str = ""
    """How messages name the template."""


def prepare_chat(tokenizer: Any, config: Any, wanted: str | None, at: str, uri: str, *, trained: bool) -> Chat:
    """Give `tokenizer` its template and missing tokens, in place, and try them out.

    `wanted` is `model.chatTemplate`; `at` is the field's prefix (`model`). A model that is `trained` must ask in the
    context that answers are learnt in. Raises PermanentError NoChatTemplate, BadChatTemplate or NoEndToken.
    """
    repaired = _repair_tokens(tokenizer, config, at, uri)
    match wanted:
        case None if not tokenizer.chat_template:
            raise PermanentError(
                "NoChatTemplate",
                f"{at}.uri: {uri} has no chat template: set {at}.chatTemplate to `{DEFAULT}` for SelfReward's plain "
                "one, or to the Jinja text of its own",
            )
        case None:
            kind = "own"
        case str() if wanted == DEFAULT:
            kind, tokenizer.chat_template = "default", plain_template(tokenizer)
        case _:
            kind, tokenizer.chat_template = "given", wanted
    where = f"{at}.uri: {uri}: its chat template" if kind == "own" else f"{at}.chatTemplate: the template"
    _try_out(tokenizer, where)
    if trained:
        repaired += one_context(tokenizer, where)
    return Chat(_takes_system(tokenizer), kind, repaired, where)


def plain_template(tokenizer: Any) -> str:
    """:data:`PLAIN_TEMPLATE`, opened by the start token where this tokenizer puts one before every text."""
    ids = tokenizer("a")["input_ids"]
    starts = tokenizer.bos_token_id is not None and bool(ids) and ids[0] == tokenizer.bos_token_id
    return (_BOS if starts else "") + PLAIN_TEMPLATE


def _repair_tokens(tokenizer: Any, config: Any, at: str, uri: str) -> list[str]:
    repaired = []
    if tokenizer.eos_token is None:
        tokenizer.eos_token = _end_token(tokenizer, config, at, uri)
        repaired.append(f"end token set to {tokenizer.eos_token!r}")
    if tokenizer.pad_token is None:
        # As TRL does: padding is masked by position, so the end token loses nothing by it.
        tokenizer.pad_token = tokenizer.eos_token
        repaired.append(f"padding token set to the end token {tokenizer.eos_token!r}")
    return repaired


def _end_token(tokenizer: Any, config: Any, at: str, uri: str) -> str:
    ids = config.eos_token_id
    number = ids[0] if isinstance(ids, list) and ids else ids
    if isinstance(number, int):
        token = tokenizer.convert_ids_to_tokens(number)
        if isinstance(token, str):
            return token
    known = tokenizer.get_vocab()
    for token in END_OF_TURN:
        if token in known:
            return token
    raise PermanentError(
        "NoEndToken",
        f"{at}.uri: {uri}: neither tokenizer nor config.json names an end token (eos_token), so no answer would end: "
        "add eos_token to tokenizer_config.json",
    )


_SYSTEM: Final = {"role": "system", "content": "Jqzvx rules"}


def _try_out(tokenizer: Any, where: str) -> None:
    """One turn, and two; what is said must be in what the model sees."""
    import jinja2

    try:
        short = render(tokenizer, [USER], prompt=True)
        long = render(tokenizer, [USER, ANSWER, USER], prompt=True)
    except jinja2.TemplateSyntaxError as error:
        raise PermanentError(
            "BadChatTemplate", f"{where} is not valid Jinja: line {error.lineno}: {error.message}: correct it"
        ) from error
    except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise PermanentError("BadChatTemplate", f"{where} fails on a user's message: {error}: correct it") from error
    if USER["content"] not in short or ANSWER["content"] not in long:
        raise PermanentError("BadChatTemplate", f"{where} leaves out what the user or the assistant says: correct it")


def _takes_system(tokenizer: Any) -> bool:
    import jinja2

    try:
        return _SYSTEM["content"] in render(tokenizer, [_SYSTEM, USER], prompt=True)
    except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError):
        return False
