"""The world's server: what it says is sampled from the weights in its folder, as the API asks."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

ASKED = [{"role": "user", "content": "tell ann kindly of sea at noon"}]


@pytest.fixture(scope="module")
def batches(newborn: Path) -> Any:
    from known_world.server import Batches, Engine

    return Batches(Engine(newborn))


@pytest.fixture(scope="module")
def url(batches: Any) -> Iterator[str]:
    from known_world.server import handler

    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(batches, "m0"))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def said(batches: Any, **body: Any) -> list[str]:
    from known_world.server import completion

    answer = completion(batches, "m0", {"messages": ASKED, "max_tokens": 8, "seed": 5, **body})
    return [choice["message"]["content"] for choice in answer["choices"]]


def test_choice_i_is_what_seed_plus_i_alone_gives(batches: Any) -> None:
    many = said(batches, n=3)
    assert many == [said(batches, seed=5 + index)[0] for index in range(3)]
    assert len(set(many)) == 3


def test_greedy_is_what_transformers_generates(batches: Any, newborn: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(newborn), AutoTokenizer.from_pretrained(newborn)
    prompt = tokenizer.apply_chat_template(ASKED, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    wanted = model.generate(**prompt, max_new_tokens=8, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert said(batches, temperature=0) == [tokenizer.decode(wanted, skip_special_tokens=True)]


def test_a_short_prompt_is_answered_the_same_beside_a_long_one(batches: Any) -> None:
    from known_world.server import Row

    engine = batches.engine
    short = Row(engine.prompt(ASKED), 0.0, 1.0, 6, 0)
    long = Row(engine.prompt([{"role": "user", "content": "judge " + "wave " * 40}]), 0.7, 0.9, 12, 1)
    assert engine.sample([short, long])[0].tokens == engine.sample([short])[0].tokens


def test_the_shares_drawn_are_the_softmax_within_the_nucleus() -> None:
    import torch
    from known_world.server import Row, drawn

    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    luck = (torch.arange(2000) + 0.5) / 2000
    tokens = drawn(logits.expand(2000, 4), [Row([], 1.0, 0.9, 1, 0)] * 2000, luck)
    shares = torch.bincount(tokens, minlength=4) / 2000
    assert shares.tolist() == pytest.approx([0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0], abs=1e-3)
    cold = drawn(logits.expand(2000, 4), [Row([], 0.5, 1.0, 1, 0)] * 2000, luck)
    squares = [share**2 for share in (0.5, 0.3, 0.15, 0.05)]
    assert (torch.bincount(cold, minlength=4) / 2000).tolist() == pytest.approx(
        [square / sum(squares) for square in squares], abs=1e-3
    )


def test_over_http_as_the_steps_ask(url: str) -> None:
    assert httpx.get(f"{url}/models").json()["data"][0]["id"] == "m0"
    body = {"model": "m0", "messages": ASKED, "max_tokens": 1, "seed": 1, "logprobs": True, "top_logprobs": 20}
    answer = httpx.post(f"{url}/chat/completions", json=body).json()
    assert answer["usage"]["completion_tokens"] == 1
    assert answer["choices"][0]["finish_reason"] == "length"
    top = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    shares = [math.exp(each["logprob"]) for each in top]
    assert len(top) == 20
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 1 + 1e-6
    other = httpx.post(f"{url}/chat/completions", json=body | {"model": "m1"})
    assert (other.status_code, other.json()["error"]["message"]) == (404, "this is m0, and it only completes chats")
