"""The client of every OpenAI-compatible server: as many requests in flight as configured, and none lost.

A request that the server refuses for what it says (400, 413, 422) is answered by a Refusal, since the next one may be
taken; only what holds for all of them ends the step.

Plain httpx on purpose: the SDKs import for a second and retry by rules of their own. It must not import torch or an
SDK, must not hold more than what is in flight, and never sends a system message or logs a key.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Protocol

import httpx

from selfreward_steps.client import lanes
from selfreward_steps.client.exchange import Exchange, Rejected
from selfreward_steps.client.requests import ChatRequest, Choice, Completion, Refusal
from selfreward_steps.client.retrying import RetryPolicy
from selfreward_steps.client.traffic import Traffic
from selfreward_steps.contract import OWN_SERVER, ServingEndpoint
from selfreward_steps.credentials import credential
from selfreward_steps.errors import PermanentError, StepError
from selfreward_steps.proxies import is_inside, require_proxies

HEARTBEAT_SECONDS = 5.0
CONNECT_SECONDS = 15.0
"""A server that is there accepts at once; the address of a dead pod would swallow the whole request timeout."""
HOPELESS = 300
"""Requests that all came to nothing after which the others are given up: by the rule of three, 95 times in 100 fewer
than 1 in 100 of them would come to something."""


class RequestSource(Protocol):
    """A source of requests for the client, which asks it for the next one when it has a place free."""

    def begin(self, tail: Callable[[], None]) -> None:
        """Told once, before the first `take`; a source that holds requests back towards its end calls `tail` then."""

    async def take(self) -> ChatRequest | None:
        """The next request; may wait for one. None means that there are no more, now and later."""


class InOrder:
    """The requests of an iterable, one at a time, so that the input need not be in memory."""

    def __init__(self, requests: Iterable[ChatRequest]) -> None:
        self._requests = iter(requests)

    def begin(self, tail: Callable[[], None]) -> None:
        """Nothing to do: this source holds no requests back."""

    async def take(self) -> ChatRequest | None:
        return next(self._requests, None)


class ServingClient:
    """Sends requests to one endpoint, one batch at a time; `traffic` tells of all batches so far.

    `alive` is called at every answer and every few seconds while the event loop runs: a server that hangs ends in
    a timeout here, so silence beyond that is a hang of the step itself. Raises PermanentError MissingApiKey, BadProxy.
    """

    def __init__(
        self, endpoint: ServingEndpoint, *, alive: Callable[[], None], policy: RetryPolicy | None = None
    ) -> None:
        self._endpoint = endpoint
        self._alive = alive
        self._headers = authorization(endpoint)
        # The run's own servers are asked directly, whatever the environment says.
        self._through_proxies = endpoint.field != OWN_SERVER and not is_inside(endpoint.url)
        if self._through_proxies:
            require_proxies()
        self._takes_samples = True
        self._first_refusal: Rejected | None = None
        self.traffic = Traffic(endpoint.concurrency or lanes.FIRST_LANES)
        self._exchange = Exchange(endpoint, policy or RetryPolicy(), self.traffic, alive)

    def require_an_answer(self, *, known: int = 0, is_shard: bool = False) -> None:
        """Raise PermanentError ServingRejected with the server's words when it has refused every request so far.

        `known` are answers of earlier attempts: a server that has given some does not refuse everything. Of a shard
        that `is_shard` among others, a few refusals tell nothing of those; HOPELESS do.
        """
        refused = self.traffic.refused
        if self._first_refusal is None or self.traffic.requests + known or (is_shard and refused < HOPELESS):
            return
        raise self._rejected(self._first_refusal, f"refused each of {refused} requests, the first with")

    async def run(self, source: RequestSource, handle: Callable[[Completion | Refusal], Awaitable[None]]) -> None:
        """Send all of `source`, and hand each completion or refusal to `handle` as it comes, in any order.

        `handle` runs in the request's own lane, so a slow one holds back the sending instead of filling memory.
        Raises PermanentError ServingRejected, InfrastructureError ServingUnavailable, StepFailed ServingNonsense or
        RequestFailed, or what `handle` and `source` raise; requests in flight are then dropped.
        """
        self.traffic.begin()
        source.begin(self.traffic.meter.tail)
        # One client a lane: httpx's pool looks at every connection for every request, which costs at hundreds.
        verify = httpx.create_ssl_context()
        try:
            async with asyncio.TaskGroup() as tasks:
                heart = tasks.create_task(self._beat())
                opened = lanes.Lanes(lambda: tasks.create_task(self._lane(source, handle, verify)), self.traffic)
                widening = tasks.create_task(self._widen(opened))
                await opened.ended()
                heart.cancel()
                widening.cancel()
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            self.traffic.end()

    async def stream(self, source: RequestSource) -> AsyncIterator[Completion | Refusal]:
        """The completions and refusals of `source` as they come, in any order; the errors are those of `run`.

        No more than a lane each wait to be taken, so a slow reader holds back the sending.
        """
        done: asyncio.Queue[Completion | Refusal | None] = asyncio.Queue()
        room = asyncio.Semaphore(self._endpoint.concurrency or lanes.MOST_LANES)

        async def keep(answer: Completion | Refusal) -> None:
            await room.acquire()
            done.put_nowait(answer)

        sending = asyncio.create_task(self.run(source, keep))
        sending.add_done_callback(lambda _: done.put_nowait(None))
        try:
            while (answer := await done.get()) is not None:
                yield answer
                room.release()
            await sending
        finally:
            sending.cancel()

    async def _beat(self) -> None:
        while True:
            self._alive()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _widen(self, opened: lanes.Lanes) -> None:
        """Open lanes as long as the server says that it has room; not where the number is the user's, nor elsewhere
        than at the run's own server."""
        if self._endpoint.concurrency is None and self._endpoint.field == OWN_SERVER:
            timeout = httpx.Timeout(CONNECT_SECONDS)
            async with httpx.AsyncClient(headers=self._headers, timeout=timeout, trust_env=False) as http:
                await opened.widen(lambda: lanes.queued_requests(http, self._endpoint.url))

    async def _lane(
        self, source: RequestSource, handle: Callable[[Completion | Refusal], Awaitable[None]], verify: ssl.SSLContext
    ) -> None:
        limit = self._endpoint.request_timeout_seconds
        timeout = httpx.Timeout(limit, connect=min(limit, CONNECT_SECONDS))
        async with httpx.AsyncClient(
            headers=self._headers, verify=verify, timeout=timeout, trust_env=self._through_proxies
        ) as http:
            while (request := await source.take()) is not None:
                await handle(await self._answer(http, request))
            self.traffic.meter.tail()

    async def _answer(self, http: httpx.AsyncClient, request: ChatRequest) -> Completion | Refusal:
        try:
            return await self._complete(http, request)
        except Rejected as rejected:
            if not rejected.error.is_of_the_row:
                raise self._rejected(rejected, "answered") from None
            self._first_refusal = self._first_refusal or rejected
            self.traffic.refused += 1
            return Refusal(request.key, rejected.error.message)

    async def _complete(self, http: httpx.AsyncClient, request: ChatRequest) -> Completion:
        if request.samples == 1:
            return await self._exchange.complete(http, request)
        if not self._takes_samples:
            return await self._fan_out(http, request, None)
        try:
            completion = await self._exchange.complete(http, request)
        except Rejected as rejected:
            if not rejected.error.is_of_the_row:
                raise
            # Some servers refuse `n`. If they take the request without it, that was the reason.
            try:
                first = await self._exchange.complete(http, request.single(0))
            except Rejected:
                raise rejected from None
            completion = Completion(request.key, first.choices, first.tokens)
        if len(completion.choices) == request.samples:
            return completion
        self._takes_samples = False
        return await self._fan_out(http, request, completion)

    async def _fan_out(self, http: httpx.AsyncClient, request: ChatRequest, first: Completion | None) -> Completion:
        """The samples as requests of their own, for a server without `n`; `first` is the one already there."""
        parts = [first] if first is not None else []
        for index in range(len(parts), request.samples):
            parts.append(await self._exchange.complete(http, request.single(index)))
        choices: list[Choice] = [part.choices[0] for part in parts]
        counts = [part.tokens for part in parts]
        tokens = sum(count for count in counts if count is not None)
        return Completion(request.key, tuple(choices), None if None in counts else tokens)

    def _rejected(self, rejected: Rejected, how: str) -> PermanentError:
        error = rejected.error
        return PermanentError(
            "ServingRejected",
            f"{self._endpoint.field}: POST {self._exchange.url} (model {self._endpoint.model}) {how} {error.status}: "
            f"{error.message}: {error.advice}",
        )


def authorization(endpoint: ServingEndpoint) -> dict[str, str]:
    """The header with the endpoint's API key, if it has one. Raises PermanentError MissingApiKey, BadCredential."""
    if endpoint.api_key_variable is None:
        return {}
    key = credential(os.environ, endpoint.api_key_variable, f"{endpoint.field}.apiKeySecretRef")
    if not key:
        raise PermanentError(
            "MissingApiKey",
            f"{endpoint.field}.apiKeySecretRef: environment variable {endpoint.api_key_variable} is not set: give the "
            f"API key of {endpoint.url} in its secret",
        )
    return {"authorization": f"Bearer {key}"}


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure to tell: a StepError if there is one, since the others often follow from it."""
    leaves: list[BaseException] = []
    pending: list[BaseException] = [group]
    while pending:
        error = pending.pop(0)
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)
        else:
            leaves.append(error)
    return next((error for error in leaves if isinstance(error, StepError)), leaves[0])
