"""Which of the user's rows no server will take, because they are longer than the model's context: told at import.

A server says so one request at a time, after the first training is paid for. Here it is known before anything is
trained, by the very tokenizer and chat template that the server will use.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from transformers import AutoConfig, AutoTokenizer

from selfreward_steps.contract import ImportConfig, JudgeMode, JudgeSettings, PromptGenerator
from selfreward_steps.errors import PermanentError
from selfreward_steps.judging.judgements import judge_items, ranked_texts
from selfreward_steps.judging.templates import judge_messages
from selfreward_steps.rows import Message, PromptRow, RankingRow, read_rows

_TOLD: Final = 5
"""Rows named for each kind; all of them are counted."""


@dataclass(frozen=True)
class _Kind:
    """One kind of row: what will be asked about each, and the settings that decide how long that is."""

    name: str
    """Name of the metric that counts the rows."""
    field: str
    requests: Iterator[tuple[str, list[Message]]]
    """A row's id and the messages."""
    answer: int
    """Tokens that the answer may have."""
    answer_field: str


def too_long_rows(config: ImportConfig, judge: JudgeSettings, model: Path, seed: Path) -> dict[str, float]:
    """How many ranked answers are too long to judge, and how many of the user's prompts too long to answer.

    `model` and `seed` are folders of what was imported. Counts of nothing are left out. Raises PermanentError
    TooLong when `serving.maxModelLength` is so short that no row of a kind fits: the step that asks would fail.
    """
    limit, limit_field = _limit(config, model)
    if limit is None:
        return {}
    tokenizer = AutoTokenizer.from_pretrained(model)
    found: dict[str, float] = {}
    for kind in _kinds(config, judge, seed):
        rows = [(name, _tokens(tokenizer, messages) + kind.answer) for name, messages in kind.requests]
        long = [(name, tokens) for name, tokens in rows if tokens > limit]
        if not long:
            continue
        if len(long) == len(rows) and config.max_model_length is not None:
            raise PermanentError(
                "TooLong",
                f"{kind.field}: none of {len(rows)} rows fits: the shortest needs {min(tokens for _, tokens in rows)} "
                f"tokens, {kind.answer} of them for {kind.answer_field}, and {limit_field} is {limit}: raise it, lower "
                f"{kind.answer_field}, or give shorter texts",
            )
        _tell(kind, long, f"{limit_field} {limit}")
        found[kind.name] = float(len(long))
    return found


def _limit(config: ImportConfig, model: Path) -> tuple[int | None, str]:
    """The context in tokens, and who sets it; None for a model without one."""
    own = getattr(AutoConfig.from_pretrained(model).get_text_config(), "max_position_embeddings", None)
    served = config.max_model_length
    if served is not None and (own is None or served <= own):
        return served, "serving.maxModelLength"
    return own, "the model's context"


def _kinds(config: ImportConfig, judge: JudgeSettings, seed: Path) -> Iterator[_Kind]:
    rankings, prompts = seed / "rankings.jsonl", seed / "prompts.jsonl"
    if rankings.exists():
        by_token = judge.mode is JudgeMode.LOGPROB
        yield _Kind(
            "rankings_too_long",
            "seedData.rankings",
            _judged(rankings, judge),
            1 if by_token else judge.sampling.max_tokens,
            "judge.sampling.maxTokens",
        )
    if prompts.exists() and config.prompts_source.generator is PromptGenerator.FILE:
        asked = ((row["id"], [Message(role="user", content=row["prompt"])]) for row in read_rows(prompts, PromptRow))
        answer = config.responses.sampling.max_tokens
        yield _Kind("prompts_too_long", "prompts.source", asked, answer, "responses.sampling.maxTokens")


def _judged(rankings: Path, judge: JudgeSettings) -> Iterator[tuple[str, list[Message]]]:
    for item in judge_items(judge, ranked_texts(read_rows(rankings, RankingRow))):
        yield item.key, judge_messages(judge, item.prompt, item.response, item.other)


def _tokens(tokenizer: Any, messages: list[Message]) -> int:
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])


def _tell(kind: _Kind, long: list[tuple[str, int]], limit: str) -> None:
    for name, tokens in long[:_TOLD]:
        print(
            f"{kind.field}: row {name} needs {tokens} tokens with {kind.answer_field}, more than {limit}: it will be "
            "left out where it is asked about",
            file=sys.stderr,
        )
    if len(long) > _TOLD:
        print(f"{kind.field}: {len(long) - _TOLD} more rows are too long", file=sys.stderr)
