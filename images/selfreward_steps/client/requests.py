"""The wire format of one request to an OpenAI-compatible server and of its answer; nothing of the network.

Only the part of `/v1/chat/completions` that the steps use. It must not send, wait or retry.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

from selfreward_steps.client.thoughts import without_thoughts
from selfreward_steps.contract import Sampling
from selfreward_steps.rows import Message

_SEED_BITS = 30
"""Room for seed + i below 2^31, which every server takes."""
_MOST_TOKENS: Final = 1 << 40
_REASON: Final = 40
"""Characters of a `finish_reason`: the known ones have fifteen."""
_ROUNDED: Final = 0.01
"""How far above 0 the log-probability of what is certain may lie by rounding."""


class NonsenseAnswer(ValueError):
    """The server said 200 and something that is no completion."""


def seed_for(seed: int, *parts: object) -> int:
    """A request's own seed, from the step's seed and what identifies the request; 0 to 2^30 - 1."""
    digest = sha256("\x1f".join(map(str, (seed, *parts))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - _SEED_BITS)


@dataclass(frozen=True)
class ChatRequest:
    """`samples` completions of a user message. There is never a system message: some models reject them."""

    key: int
    """The caller's own number of the request."""
    message: str
    sampling: Sampling
    seed: int
    samples: int = 1
    stop: tuple[str, ...] = ()
    top_logprobs: int = 0
    """With how many alternatives of the first token to answer; 0 for none."""
    history: tuple[Message, ...] = ()
    """The turns before the message."""

    def body(self, model: str) -> dict[str, Any]:
        """The JSON body of the HTTP request, as OpenAI's API defines it."""
        messages: list[Message] = [*self.history, {"role": "user", "content": self.message}]
        body: dict[str, Any] = {
            "model": model,
            "messages": messages,
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "max_tokens": self.sampling.max_tokens,
            "seed": self.seed,
            "stream": False,
        }
        if self.samples > 1:
            body["n"] = self.samples
        if self.stop:
            body["stop"] = list(self.stop)
        if self.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        return body

    def single(self, index: int) -> ChatRequest:
        """Sample `index` alone: the seed a server with `n` gives to its choice `index` (vLLM: seed + index)."""
        return replace(self, samples=1, seed=self.seed + index)


@dataclass(frozen=True)
class Choice:
    """One completion, without what a reasoning model thought before it. `top` has the first token's alternatives and
    their probabilities, when asked for."""

    text: str
    finish_reason: str
    top: tuple[tuple[str, float], ...] | None = None


@dataclass(frozen=True)
class Completion:
    """A request's choices, in the order of their index; `tokens` were generated for all of them together."""

    key: int
    choices: tuple[Choice, ...]
    tokens: int | None


@dataclass(frozen=True)
class Refusal:
    """A request that the server does not take, now or later, and its words: the row's result, as an answer would be."""

    key: int
    why: str


def parse_completion(answer: Any, key: int) -> Completion:
    """Read the JSON of an answer; raises NonsenseAnswer when it is not a completion."""
    choices = answer.get("choices") if isinstance(answer, Mapping) else None
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        raise NonsenseAnswer(f"no choices, but {_told(answer)}")
    try:
        ordered = sorted(choices, key=lambda choice: int(choice.get("index") or 0))
        parsed = tuple(map(_choice, ordered))
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise NonsenseAnswer(f"a choice without a message ({type(error).__name__}: {error})") from error
    return Completion(key, parsed, _tokens(answer))


def _told(answer: Any) -> str:
    """What stands there instead, for whoever knows that other format."""
    return ", ".join(map(str, answer))[:80] if isinstance(answer, Mapping) else f"a {type(answer).__name__}"


def _tokens(answer: Mapping[str, Any]) -> int | None:
    usage = answer.get("usage")
    tokens = usage.get("completion_tokens") if isinstance(usage, Mapping) else None
    # Whatever else stands there is no count, and would break the sums.
    return tokens if type(tokens) is int and 0 <= tokens <= _MOST_TOKENS else None


def _choice(choice: Mapping[str, Any]) -> Choice:
    # A reasoning model that ran out of tokens has no content at all: an empty answer, which is judged as such.
    content = choice["message"].get("content") or ""
    if not isinstance(content, str):
        raise TypeError(f"content is {type(content).__name__}")
    # Templates that put a blank before the assistant's words (Mistral's) teach to write it: kept, each iteration would
    # learn one more.
    text = without_thoughts(_storable(content)).lstrip(" ")
    return Choice(text, str(choice.get("finish_reason") or "unknown")[:_REASON], _first_token(choice))


def _first_token(choice: Mapping[str, Any]) -> tuple[tuple[str, float], ...] | None:
    tokens = (choice.get("logprobs") or {}).get("content")
    if not tokens:
        return None
    return tuple((_storable(str(top["token"])), _probability(top["logprob"])) for top in tokens[0]["top_logprobs"])


def _probability(logprob: Any) -> float:
    """Of the logarithm that a server states; ValueError for what is none."""
    stated = float(logprob)
    if not stated <= _ROUNDED:
        raise ValueError(f"a log-probability of {stated:g}")
    return math.exp(min(stated, 0.0))


def _storable(text: str) -> str:
    """Lone surrogates, which byte-level models produce and JSON can carry, have no UTF-8 and break every reader."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
