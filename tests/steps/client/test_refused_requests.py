"""What a server does not take: one request, everything, or a parameter by that name."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from openai_server import Fault, FaultKind, OpenAIServer, running
from selfreward_steps.client.client import InOrder, ServingClient
from selfreward_steps.client.requests import Completion, Refusal
from selfreward_steps.contract import ServingEndpoint
from selfreward_steps.errors import PermanentError
from steps.client.sending import requests, send, texts


@pytest.mark.parametrize(
    ("status", "message", "hint"),
    [
        (401, "Incorrect API key", "check the API key"),
        (402, "Insufficient Balance", "add credit"),
        (403, "no rights", "check the API key and its rights"),
        (404, "no such model", "check the URL"),
        (405, "Method Not Allowed", "change what the server objects to"),
        (400, "Your credit balance is too low to access the API", "add credit"),
    ],
)
def test_what_holds_for_every_request_ends_at_once_with_the_servers_words(status: int, message: str, hint: str) -> None:
    fault = Fault(FaultKind.STATUS, status=status, message=message, times=99)
    with running(OpenAIServer(faults=[fault])) as server, pytest.raises(PermanentError) as caught:
        send(server.url, requests(50), concurrency=1)
    assert len(server.requests) == 1
    assert caught.value.reason == "ServingRejected"
    assert f"{server.url}/chat/completions" in str(caught.value)
    assert f"answered {status}: {message}: {hint}" in str(caught.value)


def test_a_quota_that_is_used_up_is_told_at_once() -> None:
    error = {"message": "You exceeded your current quota, please check your plan.", "code": "insufficient_quota"}
    fault = Fault(FaultKind.STATUS, status=429, error=error, times=99)
    with running(OpenAIServer(faults=[fault])) as server, pytest.raises(PermanentError, match="add credit") as caught:
        send(server.url, requests(50), concurrency=1)
    assert len(server.requests) == 1
    assert "answered 429: You exceeded your current quota" in str(caught.value)


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("samples", [1, 3])
def test_a_request_that_the_server_does_not_take_is_its_rows_result(status: int, samples: int) -> None:
    long = "This model's maximum context length is 2048 tokens. However, your request has 2300 input tokens."
    fault = Fault(FaultKind.STATUS, status=status, message=long, times=99, match="question 3")
    with running(OpenAIServer()) as server:
        expected, _ = send(server.url, requests(9, samples=samples))
    with running(OpenAIServer(faults=[fault])) as server:
        done, traffic = send(server.url, requests(9, samples=samples))
    refused = done.pop(3)
    assert refused == Refusal(3, long)
    assert texts(done) == texts({key: each for key, each in expected.items() if key != 3})
    assert (traffic.requests, traffic.refused, traffic.retries) == (8, 1, 0)
    assert traffic.metrics()["refused"] == 1
    # With `n` it may have been that; asked once more without, it is not.
    assert sum(seen.status == status for seen in server.requests) == (1 if samples == 1 else 2)


def refused_by(server: OpenAIServer, count: int) -> ServingClient:
    """A client all of whose requests the server has refused."""
    client = ServingClient(ServingEndpoint(url=server.url, model="tiny", concurrency=2), alive=lambda: None)

    async def ask() -> None:
        assert [type(answer) async for answer in client.stream(InOrder(requests(count)))] == [Refusal] * count

    asyncio.run(ask())
    return client


def test_a_server_that_takes_nothing_is_told_with_its_words() -> None:
    fault = Fault(FaultKind.STATUS, status=400, message="messages must alternate", times=999)
    with running(OpenAIServer(faults=[fault])) as server:
        client = refused_by(server, 7)
        many = refused_by(server, 300)
        ServingClient(ServingEndpoint(url=server.url, model="tiny"), alive=lambda: None).require_an_answer()
    with pytest.raises(PermanentError) as caught:
        client.require_an_answer()
    assert caught.value.reason == "ServingRejected"
    told = "refused each of 7 requests, the first with 400: messages must alternate: change what the server objects to"
    assert told in str(caught.value)
    client.require_an_answer(known=1)
    client.require_an_answer(is_shard=True)
    with pytest.raises(PermanentError, match="refused each of 300 requests"):
        many.require_an_answer(is_shard=True)


UNSUPPORTED = "Unsupported parameter: '{name}' is not supported with this model."


@pytest.mark.parametrize(
    ("name", "error", "put"),
    [
        pytest.param(
            "max_tokens",
            {
                "message": UNSUPPORTED.format(name="max_tokens") + " Use 'max_completion_tokens' instead.",
                "param": "max_tokens",
                "code": "unsupported_parameter",
            },
            {"max_completion_tokens": 1024},
            id="the newer name of max_tokens",
        ),
        pytest.param(
            "temperature",
            {
                "message": "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default "
                "(1) value is supported.",
                "param": "temperature",
                "code": "unsupported_value",
            },
            {},
            id="its own temperature only",
        ),
        pytest.param("top_p", {"message": UNSUPPORTED.format(name="top_p"), "param": "top_p"}, {}, id="no top_p"),
        pytest.param("seed", {"message": "Unrecognized request argument supplied: seed"}, {}, id="no seed"),
        pytest.param(
            "seed",
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
            {},
            id="no seed, in FastAPI's form",
        ),
    ],
)
def test_a_client_learns_what_the_server_names(name: str, error: dict[str, Any], put: dict[str, int]) -> None:
    with running(OpenAIServer(refuses={name: error})) as server:
        done, traffic = send(server.url, requests(20, samples=2), concurrency=4)
    assert not [each for each in done.values() if isinstance(each, Refusal)]
    assert sorted(done) == list(range(20))
    assert (traffic.requests, traffic.refused, traffic.retries) == (20, 0, 0)
    # What was under way when the first was refused, and no more.
    assert 1 <= sum(seen.status == 400 for seen in server.requests) <= 4
    last = server.requests[-1].body
    assert name not in last
    assert last.items() >= put.items()


def test_two_things_are_learnt_one_after_the_other() -> None:
    refuses = {
        name: {"message": UNSUPPORTED.format(name=name), "param": name} for name in ("max_tokens", "temperature")
    }
    with running(OpenAIServer(refuses=refuses)) as server:
        done, _ = send(server.url, requests(3), concurrency=1)
    assert [type(each) for each in done.values()] == [Completion] * 3
    assert [seen.status for seen in server.requests] == [400, 400, 200, 200, 200]


def test_a_server_without_logprobs_is_not_asked_without_them() -> None:
    refuses = {"logprobs": {"message": UNSUPPORTED.format(name="logprobs"), "param": "logprobs"}}
    asked = [replace(request, top_logprobs=20) for request in requests(2)]
    with running(OpenAIServer(refuses=refuses)) as server:
        done, _ = send(server.url, asked)
    assert done == {key: Refusal(key, UNSUPPORTED.format(name="logprobs")) for key in (0, 1)}
