"""Answers that no chat completion is: told in one line, read within bounds, and the key is for its own host only.

Whoever names an outside judge is not its keeper, and a page of a proxy may come from any server.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

import httpx
import pytest
from selfreward_steps.client.lanes import queued_requests
from selfreward_steps.client.requests import Refusal
from selfreward_steps.client.retrying import RetryPolicy
from selfreward_steps.errors import PermanentError, StepFailed
from steps.client.sending import requests, send
from steps.loopback import listening

PATIENT: Final = RetryPolicy(outage_seconds=60, first_pause=0.01, longest_pause=0.02)
KEY: Final = "sk-judge-12345678"


@contextmanager
def answering(
    body: bytes, status: int = 200, headers: Mapping[str, str] | None = None, times: int = 1
) -> Iterator[tuple[str, list[str]]]:
    """A server that answers `body`, `times` over; its address, and the keys that it was sent."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            keys.append(self.headers.get("authorization", ""))
            self.send_response(status)
            for name, value in {"content-length": str(len(body) * times), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for _ in range(times):
                    self.wfile.write(body)
            except OSError:
                pass  # the client has had enough

        def log_message(self, format: str, *args: object) -> None:
            pass

    with listening(Handler) as url:
        yield f"{url}/v1", keys


def choice(**fields: Any) -> bytes:
    return json.dumps({"choices": [{"index": 0, "message": {"content": "3"}, **fields}]}).encode()


def weighed(logprob: str) -> bytes:
    top = '[{"token": "3", "logprob": LOGPROB}]'.replace("LOGPROB", logprob)
    return (
        b'{"choices": [{"message": {"content": "3"}, "logprobs": {"content": [{"top_logprobs": %s}]}}]}' % top.encode()
    )


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        pytest.param(b"[" * 200_000, {}, "is not JSON", id="nested without end"),
        pytest.param(b'{"choices":[{"index":1e999,"message":{"content":"x"}}]}', {}, "OverflowError", id="index"),
        pytest.param(weighed("1000"), {}, "a log-probability of 1000", id="log-probability"),
        pytest.param(weighed("NaN"), {}, "a log-probability of nan", id="NaN"),
        pytest.param(b'data: {"choices":[]}\n\ndata: [DONE]', {}, "is not JSON: 'data:", id="streamed"),
        pytest.param(b"{}", {"content-encoding": "gzip"}, "cannot be unpacked", id="not packed"),
        pytest.param(b"{}", {"content-encoding": "br"}, "is packed by 'br'", id="packed otherwise"),
    ],
)
def test_no_completion(body: bytes, headers: dict[str, str], words: str) -> None:
    what = [replace(request, top_logprobs=5) for request in requests(1)]
    with answering(body, headers=headers) as (url, _), pytest.raises(StepFailed) as caught:
        send(url, what, policy=PATIENT, field="judge.endpoint")
    assert caught.value.reason == "ServingNonsense"
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("body", "headers", "times"),
    [
        pytest.param(b" " * (1 << 20), {}, 1024, id="1 GiB"),
        pytest.param(gzip.compress(b" " * (1 << 28)), {"content-encoding": "gzip"}, 1, id="256 MiB packed"),
    ],
)
def test_an_answer_without_end_is_not_held(body: bytes, headers: dict[str, str], times: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        answering(body, headers=headers, times=times) as (url, _),
        pytest.raises(StepFailed, match="longer than 64 MiB"),
    ):
        send(url, requests(1), policy=PATIENT, field="judge.endpoint")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 << 10, "KiB, those of this server included"


@pytest.mark.parametrize(
    ("body", "headers", "why"),
    [
        pytest.param(b"[" * 200_000, {}, "[[[", id="nested without end"),
        pytest.param(b'{"error":"too long"}', {"content-type": "application/json; charset=hex"}, "too long", id="hex"),
        pytest.param(b'{"error":"no"}', {"content-type": "text/plain; charset=undefined"}, "no", id="undefined"),
        pytest.param(b'{"detail":[{"loc":5,"msg":"no","type":["x"]}]}', {}, ": no", id="places"),
        pytest.param(rb'{"error":{"message":"half \ud800 a pair"}}', {}, "half ? a pair", id="surrogate"),
    ],
)
def test_a_refusal_is_the_rows(body: bytes, headers: dict[str, str], why: str) -> None:
    with answering(body, 400, headers) as (url, _):
        done, _ = send(url, requests(1), policy=PATIENT, field="judge.endpoint")
    refusal = done[0]
    assert isinstance(refusal, Refusal)
    assert refusal.why.startswith(why)
    assert refusal.why.encode()


@pytest.mark.parametrize("tokens", ["1" + "0" * 400, "-5", "true", "1e9", '"7"'])
def test_a_count_of_tokens_that_is_none(tokens: str) -> None:
    body = choice()[:-1] + b',"usage":{"completion_tokens":%s}}' % tokens.encode()
    with answering(body) as (url, _):
        _, traffic = send(url, requests(1), policy=PATIENT)
    assert (traffic.requests, traffic.tokens) == (1, 0)
    assert traffic.metrics()["completion_tokens"] == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_key_is_not_sent_where_its_host_sends_it(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", KEY)
    with answering(choice()) as (other, keys), answering(b"", status, {"location": other}) as (url, own):
        with pytest.raises(PermanentError, match=f"answered {status}: go to {other}") as caught:
            send(url, requests(1), policy=PATIENT, key="KEY", field="judge.endpoint")
        assert (keys, own) == ([], [f"Bearer {KEY}"])
    assert "give the address that it leads to" in str(caught.value)


@pytest.mark.parametrize("said", ["abc", "NaN", "-1", ""])
def test_a_queue_of_no_number_opens_no_lanes(said: str) -> None:
    async def ask() -> float | None:
        text = f"vllm:num_requests_waiting{{}} {said}\n"
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, text=text))) as http:
            return await queued_requests(http, "http://serving/v1")

    assert asyncio.run(ask()) is None
