"""Requests sent by the client to a scripted server, for its tests."""

import asyncio
from collections.abc import Callable, Iterable

from selfreward_steps.client.client import InOrder, ServingClient
from selfreward_steps.client.requests import ChatRequest, Completion, Refusal, seed_for
from selfreward_steps.client.retrying import RetryPolicy
from selfreward_steps.client.traffic import Traffic
from selfreward_steps.contract import OWN_SERVER, Sampling, ServingEndpoint

QUICK = RetryPolicy(outage_seconds=0.5, first_pause=0.01, longest_pause=0.05)


def requests(count: int, *, samples: int = 1) -> list[ChatRequest]:
    return [
        ChatRequest(key=key, message=f"question {key}", sampling=Sampling(), seed=seed_for(7, key), samples=samples)
        for key in range(count)
    ]


def send(
    url: str,
    what: Iterable[ChatRequest],
    *,
    model: str = "tiny",
    concurrency: int | None = 4,
    timeout: float = 10,
    policy: RetryPolicy = QUICK,
    key: str | None = None,
    field: str = OWN_SERVER,
    alive: Callable[[], None] = lambda: None,
) -> tuple[dict[int, Completion | Refusal], Traffic]:
    endpoint = ServingEndpoint(
        url=url,
        model=model,
        concurrency=concurrency,
        request_timeout_seconds=timeout,
        api_key_variable=key,
        field=field,
    )
    client = ServingClient(endpoint, alive=alive, policy=policy)
    done: dict[int, Completion | Refusal] = {}

    async def keep(answer: Completion | Refusal) -> None:
        assert answer.key not in done
        done[answer.key] = answer

    asyncio.run(client.run(InOrder(what), keep))
    return done, client.traffic


def texts(done: dict[int, Completion | Refusal]) -> dict[int, list[str]]:
    """Of the requests that were answered."""
    answered = {key: answer for key, answer in done.items() if isinstance(answer, Completion)}
    return {key: [choice.text for choice in completion.choices] for key, completion in answered.items()}
