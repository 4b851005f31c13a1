"""The client against a real server with real faults: what is retried, what is not, and how busy the server is kept."""

import asyncio
import json
import time
from collections.abc import Iterable

import pytest
from openai_server import OpenAIServer, running
from selfreward_steps.client.client import InOrder, ServingClient
from selfreward_steps.client.requests import ChatRequest, Completion, seed_for
from selfreward_steps.client.retrying import RetryPolicy
from selfreward_steps.contract import ServingEndpoint
from selfreward_steps.errors import InfrastructureError, PermanentError, StepError, StepFailed
from server_faults import Fault, FaultKind, Samples
from steps.client.sending import QUICK, requests, send, texts


def test_every_request_is_answered_once_and_the_wire_format_is_right() -> None:
    with running(OpenAIServer()) as server:
        done, traffic = send(server.url, requests(20, samples=3))
    assert sorted(done) == list(range(20))
    assert all(len(completion.choices) == 3 for completion in done.values())
    assert len(server.requests) == 20
    body = next(seen.body for seen in server.requests if seen.prompt == "question 3")
    assert body == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "question 3"}],
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 1024,
        "seed": seed_for(7, 3),
        "stream": False,
        "n": 3,
    }
    assert traffic.requests == 20
    assert traffic.retries == 0
    assert traffic.tokens == sum(completion.tokens or 0 for completion in done.values()) > 0


FAULTS = [
    pytest.param(Fault(FaultKind.STATUS, status=500), id="500"),
    pytest.param(Fault(FaultKind.STATUS, status=503), id="503"),
    pytest.param(Fault(FaultKind.STATUS, status=429), id="429"),
    pytest.param(Fault(FaultKind.STATUS, status=408), id="408"),
    pytest.param(Fault(FaultKind.RESET), id="reset in the body"),
    pytest.param(Fault(FaultKind.HANG), id="hang"),
    pytest.param(Fault(FaultKind.NONSENSE), id="not json"),
    pytest.param(Fault(FaultKind.EMPTY), id="no choices"),
    pytest.param(Fault(FaultKind.SHORT), id="too few choices"),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_is_retried_and_changes_no_answer(fault: Fault) -> None:
    with running(OpenAIServer()) as server:
        expected, _ = send(server.url, requests(6, samples=3))
    fault.times, fault.skip = 2, 1
    with running(OpenAIServer(faults=[fault])) as server:
        done, traffic = send(server.url, requests(6, samples=3), timeout=0.3)
    assert texts(done) == texts(expected)
    assert traffic.retries == 2
    assert len(server.requests) == 8


@pytest.mark.parametrize("samples", [Samples.ONE, Samples.REJECT])
def test_a_server_without_n_is_asked_once_a_sample_with_the_same_seeds(samples: Samples) -> None:
    with running(OpenAIServer()) as server:
        expected, _ = send(server.url, requests(5, samples=3))
    with running(OpenAIServer(samples=samples)) as server:
        done, traffic = send(server.url, requests(5, samples=3), concurrency=1)
    assert texts(done) == texts(expected)
    assert {key: completion.tokens for key, completion in done.items()} == {
        key: completion.tokens for key, completion in expected.items()
    }
    assert traffic.requests == 15
    # What the server cannot do is learnt from the first request alone.
    assert sum("n" in seen.body for seen in server.requests) == 1


def failure(faults: list[Fault], **options: float) -> StepError:
    with running(OpenAIServer(faults=faults)) as server, pytest.raises(StepError) as caught:
        send(server.url, requests(8), **options)  # type: ignore[arg-type]
    return caught.value


def test_a_server_that_stays_broken_is_an_infrastructure_fault_after_the_budget() -> None:
    started = time.monotonic()
    error = failure([Fault(FaultKind.STATUS, status=500, message="boom", times=9999)])
    assert 0.4 < time.monotonic() - started < 5
    assert isinstance(error, InfrastructureError)
    assert error.reason == "ServingUnavailable"
    assert "HTTP 500: boom" in str(error)


def test_a_server_that_hangs_is_an_infrastructure_fault() -> None:
    error = failure([Fault(FaultKind.HANG, times=9999)], timeout=0.2)
    assert isinstance(error, InfrastructureError)
    assert "took longer than 0.2 s" in str(error)


def test_a_server_that_is_gone_is_an_infrastructure_fault() -> None:
    with running(OpenAIServer()) as server:
        url = server.url
    with pytest.raises(InfrastructureError, match="ConnectError"):
        send(url, requests(8))


def test_nonsense_for_good_fails_the_attempt() -> None:
    error = failure([Fault(FaultKind.NONSENSE, times=9999)])
    assert isinstance(error, StepFailed)
    assert error.reason == "ServingNonsense"
    assert "502 Bad Gateway" in str(error)


def test_one_request_that_always_fails_among_others_is_not_blamed_on_the_server() -> None:
    faults = [Fault(FaultKind.STATUS, status=500, match="question 3", times=9999)]
    with running(OpenAIServer(faults=faults, delay=0.05)) as server, pytest.raises(StepFailed) as caught:
        send(server.url, requests(100), concurrency=2)
    assert caught.value.reason == "RequestFailed"


def test_a_server_that_restarts_within_the_budget_loses_nothing() -> None:
    policy = RetryPolicy(outage_seconds=20, first_pause=0.05, longest_pause=0.2)
    first, second = OpenAIServer(delay=0.02), OpenAIServer(delay=0.02)

    async def scenario() -> dict[int, Completion]:
        endpoint = ServingEndpoint(url=first.url, model="tiny", concurrency=8)
        client = ServingClient(endpoint, alive=lambda: None, policy=policy)
        done: dict[int, Completion] = {}

        async def keep(completion: Completion) -> None:
            done[completion.key] = completion

        running_step = asyncio.create_task(client.run(InOrder(requests(200)), keep))
        while len(first.requests) < 20:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(halt.__exit__, None, None, None)
        assert not running_step.done()
        await asyncio.sleep(0.3)
        with running(second, port=first.port):
            await running_step
        return done

    halt = running(first)
    halt.__enter__()
    done = asyncio.run(scenario())
    assert sorted(done) == list(range(200))
    assert 0 < len(second.requests) < 200


def test_retry_after_is_honoured() -> None:
    fault = Fault(FaultKind.STATUS, status=429, retry_after="1")
    started = time.monotonic()
    with running(OpenAIServer(faults=[fault])) as server:
        send(server.url, requests(1), policy=RetryPolicy(first_pause=0.001))
    assert 1 <= time.monotonic() - started < 3


def test_concurrency_stays_at_the_configured_one_until_the_tail() -> None:
    with running(OpenAIServer(delay=lambda body: 0.05 + int(body["messages"][0]["content"][-1]) * 0.01)) as server:
        _, traffic = send(server.url, requests(640), concurrency=32)
    metrics = traffic.metrics()
    assert server.peak == 32
    assert metrics["concurrency_configured"] == 32
    assert 31 < metrics["concurrency_measured"] <= 32
    assert metrics["requests"] == 640


def test_no_concurrency_is_claimed_when_everything_fits_in_at_once() -> None:
    with running(OpenAIServer()) as server:
        _, traffic = send(server.url, requests(3), concurrency=32)
    assert "concurrency_measured" not in traffic.metrics()


def test_input_is_taken_as_it_is_sent_and_never_ahead() -> None:
    taken = 0

    def counted() -> Iterable[ChatRequest]:
        nonlocal taken
        for request in requests(100):
            taken += 1
            yield request

    fault = Fault(FaultKind.STATUS, status=401, skip=9)
    with running(OpenAIServer(faults=[fault])) as server, pytest.raises(PermanentError):
        send(server.url, counted(), concurrency=4)
    # Four lanes may each have sent one more before the refusal was read, and hold the next.
    assert taken <= 20


def test_the_key_goes_into_the_header_and_a_missing_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "s3cret\n")
    with running(OpenAIServer(api_key="s3cret")) as server:
        done, _ = send(server.url, requests(2), key="JUDGE_KEY")
        assert len(done) == 2
        monkeypatch.delenv("JUDGE_KEY")
        with pytest.raises(PermanentError, match="JUDGE_KEY is not set") as caught:
            send(server.url, requests(2), key="JUDGE_KEY")
    assert caught.value.reason == "MissingApiKey"


def test_signs_of_life_while_the_server_thinks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfreward_steps.client.client.HEARTBEAT_SECONDS", 0.05)
    signs: list[float] = []
    with running(OpenAIServer(delay=0.5)) as server:
        send(server.url, requests(1), alive=lambda: signs.append(time.monotonic()))
    assert len(signs) >= 6


def test_a_failing_handler_ends_the_run_with_its_own_error() -> None:
    async def broken(completion: Completion) -> None:
        raise StepFailed("DiskGone", "nowhere to write")

    with running(OpenAIServer(delay=0.05)) as server:
        endpoint = ServingEndpoint(url=server.url, model="tiny", concurrency=3)
        client = ServingClient(endpoint, alive=lambda: None)
        with pytest.raises(StepFailed, match="nowhere to write"):
            asyncio.run(client.run(InOrder(requests(50)), broken))
        assert len(server.requests) <= 6


def test_what_a_model_says_can_always_be_stored() -> None:
    from plausible_model import Reply
    from selfreward_steps.rows import encode

    with running(OpenAIServer(brain=lambda body, draw: Reply("half \ud83d, zero \x00, whole 😀"))) as server:
        done, _ = send(server.url, requests(1))
    assert done[0].choices[0].text == "half \ufffd, zero \x00, whole 😀"
    assert json.loads(encode({"text": done[0].choices[0].text}))


def test_a_stream_gives_every_completion_and_then_the_error() -> None:
    async def collect(url: str, *, slow: float = 0.0) -> list[int]:
        client = ServingClient(ServingEndpoint(url=url, model="tiny", concurrency=4), alive=lambda: None, policy=QUICK)
        keys = []
        async for completion in client.stream(InOrder(requests(40))):
            keys.append(completion.key)
            await asyncio.sleep(slow)
        return keys

    with running(OpenAIServer()) as server:
        assert sorted(asyncio.run(collect(server.url))) == list(range(40))
    with running(OpenAIServer()) as server:
        assert sorted(asyncio.run(collect(server.url, slow=0.01))) == list(range(40))
    faults = [Fault(FaultKind.STATUS, status=403, skip=20)]
    with running(OpenAIServer(faults=faults)) as server, pytest.raises(PermanentError, match="scripted fault"):
        asyncio.run(collect(server.url))


def test_a_reader_that_stops_stops_the_sending() -> None:
    async def first(url: str) -> int:
        client = ServingClient(ServingEndpoint(url=url, model="tiny", concurrency=4), alive=lambda: None)
        async for completion in client.stream(InOrder(requests(1000))):
            await asyncio.sleep(0.2)
            raise StepFailed("Enough", str(completion.key))
        return -1

    with running(OpenAIServer()) as server:
        with pytest.raises(StepFailed):
            asyncio.run(first(server.url))
        assert len(server.requests) <= 16
