"""What the pretended model of :mod:`openai_server` says: answers, judgements, verdicts and new prompts.

Everything follows from the messages and the seed, so two runs of a pipeline against it end with the same bytes.
Longer answers with more distinct words are judged better, which gives scores something to agree or disagree about.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """One choice. `top` are first-token alternatives with their probabilities, for logprobs."""

    text: str
    top: dict[str, float] = field(default_factory=dict)


Brain = Callable[[Body, random.Random], Reply]


def last_message(body: Body) -> str:
    return str(body["messages"][-1]["content"] if "messages" in body else body["prompt"])


def _words(text: str) -> list[str]:
    return text.split()


_NOUNS = _words("""
river garden teacher engine market planet recipe letter mountain contract violin bridge kitchen forest museum
budget island doctor library harvest camera winter festival pencil neighbour station painter theory desert
puzzle blanket orchard captain language mirror factory poem village lantern kettle compass ladder clinic tunnel
wallet sparrow glacier election statue cinema pyramid turtle cathedral telescope sandwich bicycle algebra
wedding volcano passport backpack honey meadow pharmacy rainbow sculpture thermometer umbrella vaccine windmill
yogurt zebra anchor bakery candle dolphin elevator fountain guitar helmet iceberg jacket keyboard lemon magnet
notebook oven parrot quarry rocket saddle tractor uniform valley wagon apartment ballot carpet diploma envelope
""")
_ADJECTIVES = _words("""
quiet ancient modern fragile generous crowded northern wooden careful brilliant lazy hungry polite expensive
seasonal invisible famous rural narrow cheerful stubborn digital electric frozen golden honest imaginary jealous
local magnetic nervous ordinary purple rapid salty tropical useful violent wealthy young bitter chemical daily
empty formal gentle hollow idle
""")
_VERBS = _words("""
Describe Explain Compare Summarise List Invent Translate Rewrite Criticise Design Estimate Classify Outline
Recommend Defend Imagine Predict Organise Simplify Review Plan Calculate Draft Interpret Analyse
""")
_LINKS = _words("""
with without before after beside against through under near inside towards despite because although while since
unless until for from about over between during among around behind beyond
""")


def new_prompt(draw: random.Random) -> str:
    """A short task of mostly drawn words, so that any two have little in common."""
    parts = [draw.choice(_VERBS)]
    for link in draw.sample(_LINKS, draw.randint(2, 4)):
        parts += [draw.choice(_ADJECTIVES), draw.choice(_NOUNS), link]
    parts += [draw.choice(_ADJECTIVES), draw.choice(_NOUNS)]
    return " ".join(parts) + "."


def answer(draw: random.Random) -> str:
    sentences = [
        f"The {draw.choice(_ADJECTIVES)} {draw.choice(_NOUNS)} stands {draw.choice(_LINKS)} a {draw.choice(_NOUNS)}."
        for _ in range(draw.randint(1, 9))
    ]
    return " ".join(sentences)


def quality(text: str) -> float:
    """0 to 5, higher for more distinct words: a taste that a human ranking may share or not."""
    return min(5.0, len(set(text.lower().split())) / 7)


def judgement(judged: str, draw: random.Random) -> Reply:
    best = quality(judged)
    score = min(5, max(0, round(best + draw.choice((-1, 0, 0, 1)))))
    weights = {str(points): math.exp(-((points - best) ** 2)) for points in range(6)}
    total = sum(weights.values())
    critique = f"It speaks of the {draw.choice(_NOUNS)} in a {draw.choice(_ADJECTIVES)} way and stays on the subject."
    return Reply(f"{critique}\nScore: {score}", {token: weight / total for token, weight in weights.items()})


def plausible(body: Body, draw: random.Random) -> Reply:
    """Judge, compare, write a prompt or answer, by what the last message asks for."""
    text = last_message(body)
    responses = re.findall(r"<response[^>]*>\n?(.*?)\n?</response", text, re.DOTALL)
    if len(responses) == 2:
        first, second = map(quality, responses)
        return Reply(f"Both try.\nVerdict: {'tie' if first == second else 'A' if first > second else 'B'}")
    if responses:
        return judgement(responses[0], draw)
    if re.search(r"[Ww]rite one new", text):
        return Reply(f"Task: {new_prompt(draw)}")
    return Reply(answer(draw))


def draw_for(body: Body, index: int) -> random.Random:
    """The randomness of choice `index`: a function of the messages and, unless greedy, the seed."""
    seed = 0 if body.get("temperature") == 0 else int(body.get("seed") or 0) + index
    key = json.dumps([body["messages"], seed], sort_keys=True)
    return random.Random(sha256(key.encode()).digest())


def cut(text: str, body: Body) -> tuple[str, str, int]:
    """Text, finish reason and number of tokens (words) after `stop` and `max_tokens`."""
    stops = body.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.split(stop, 1)[0]
    words = re.findall(r"\s*\S+", text)
    limit = int(body.get("max_tokens") or body.get("max_completion_tokens") or 1 << 30)
    if len(words) > limit:
        return "".join(words[:limit]), "length", limit
    return text, "stop", len(words)


def first_token(reply: Reply, count: int) -> Body:
    """`logprobs.content` of the first token, the `count` likeliest alternatives first."""
    likeliest = sorted(reply.top.items(), key=lambda pair: -pair[1])[:count]
    top = [{"token": token, "logprob": math.log(share), "bytes": None} for token, share in likeliest]
    chosen = top[0] if top else {"token": reply.text[:1], "logprob": 0.0}
    return {"content": [{**chosen, "top_logprobs": top}]}
