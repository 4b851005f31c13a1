"""The client of every OpenAI-compatible server: as many requests in flight as configured, and none lost.

Plain httpx on purpose: the SDKs import for a second and retry by rules of their own. It must not import torch or an
SDK, must not hold more than what is in flight, and never sends a system message or logs a key.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Protocol

import httpx

from selfreward_steps.client.requests import ChatRequest, Choice, Completion, NonsenseAnswer, parse_completion
from selfreward_steps.client.retrying import RetryPolicy, is_retried, retry_after_seconds, server_message
from selfreward_steps.client.traffic import Traffic
from selfreward_steps.contract import ServingEndpoint
from selfreward_steps.errors import InfrastructureError, PermanentError, StepError, StepFailed

HEARTBEAT_SECONDS = 5.0
CONNECT_SECONDS = 15.0
"""A server that is there accepts at once; the address of a dead pod would swallow the whole request timeout."""


class RequestSource(Protocol):
    """Where requests come from."""

    def begin(self, tail: Callable[[], None]) -> None:
        """Told once, before the first `take`; a source that holds requests back towards its end calls `tail` then."""

    async def take(self) -> ChatRequest | None:
        """The next request; may wait for one. None means that there are no more, now and later."""


class InOrder:
    """The requests of an iterable, one at a time, so that the input need not be in memory."""

    def __init__(self, requests: Iterable[ChatRequest]) -> None:
        self._requests = iter(requests)

    def begin(self, tail: Callable[[], None]) -> None:
        """Nothing is held back."""

    async def take(self) -> ChatRequest | None:
        return next(self._requests, None)


class _Again(Exception):
    """This try failed; another may not. `nonsense` tries are fewer."""

    def __init__(self, why: str, *, retry_after: float | None = None, nonsense: bool = False) -> None:
        super().__init__(why)
        self.retry_after = retry_after
        self.nonsense = nonsense


class _Rejected(Exception):
    """A 4xx that trying again would not change."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ServingClient:
    """Sends requests to one endpoint, one batch at a time; `traffic` tells of all batches so far.

    `alive` is called at every answer and every few seconds while the event loop runs: a server that hangs ends in
    a timeout here, so silence beyond that is a hang of the step itself. Raises PermanentError MissingApiKey.
    """

    def __init__(
        self, endpoint: ServingEndpoint, *, alive: Callable[[], None], policy: RetryPolicy | None = None
    ) -> None:
        self._endpoint = endpoint
        self._url = f"{endpoint.url.rstrip('/')}/chat/completions"
        self._alive = alive
        self._policy = policy or RetryPolicy()
        self._headers = authorization(endpoint)
        self._takes_samples = True
        self._last_success = float("-inf")
        self.traffic = Traffic(endpoint.concurrency)

    async def run(self, source: RequestSource, handle: Callable[[Completion], Awaitable[None]]) -> None:
        """Send all of `source`, and hand each completion to `handle` as it comes, in any order.

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
                lanes = [tasks.create_task(self._lane(source, handle, verify)) for _ in range(self.traffic.configured)]
                await asyncio.gather(*lanes)
                heart.cancel()
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            self.traffic.end()

    async def stream(self, source: RequestSource) -> AsyncIterator[Completion]:
        """The completions of `source` as they come, in any order; the errors are those of `run`.

        No more than a lane each wait to be taken, so a slow reader holds back the sending.
        """
        done: asyncio.Queue[Completion | None] = asyncio.Queue()
        room = asyncio.Semaphore(self.traffic.configured)

        async def keep(completion: Completion) -> None:
            await room.acquire()
            done.put_nowait(completion)

        sending = asyncio.create_task(self.run(source, keep))
        sending.add_done_callback(lambda _: done.put_nowait(None))
        try:
            while (completion := await done.get()) is not None:
                yield completion
                room.release()
            await sending
        finally:
            sending.cancel()

    async def _beat(self) -> None:
        while True:
            self._alive()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _lane(
        self, source: RequestSource, handle: Callable[[Completion], Awaitable[None]], verify: ssl.SSLContext
    ) -> None:
        limit = self._endpoint.request_timeout_seconds
        timeout = httpx.Timeout(limit, connect=min(limit, CONNECT_SECONDS))
        async with httpx.AsyncClient(headers=self._headers, verify=verify, timeout=timeout) as http:
            while (request := await source.take()) is not None:
                await handle(await self._complete(http, request))
            self.traffic.meter.tail()

    async def _complete(self, http: httpx.AsyncClient, request: ChatRequest) -> Completion:
        if request.samples > 1 and self._takes_samples:
            try:
                completion = await self._persist(http, request)
            except _Rejected as rejected:
                # Some servers refuse `n`. If they take the request without it, that was the reason.
                try:
                    first = await self._persist(http, request.single(0))
                except _Rejected:
                    raise self._rejected(rejected) from None
                completion = Completion(request.key, first.choices, first.tokens)
            if len(completion.choices) == request.samples:
                return completion
            self._takes_samples = False
            return await self._fan_out(http, request, completion)
        try:
            if request.samples > 1:
                return await self._fan_out(http, request, None)
            return await self._persist(http, request)
        except _Rejected as rejected:
            raise self._rejected(rejected) from None

    async def _fan_out(self, http: httpx.AsyncClient, request: ChatRequest, first: Completion | None) -> Completion:
        """The samples as requests of their own, for a server without `n`; `first` is the one already there."""
        parts = [first] if first is not None else []
        for index in range(len(parts), request.samples):
            parts.append(await self._persist(http, request.single(index)))
        choices: list[Choice] = [part.choices[0] for part in parts]
        counts = [part.tokens for part in parts]
        tokens = sum(count for count in counts if count is not None)
        return Completion(request.key, tuple(choices), None if None in counts else tokens)

    async def _persist(self, http: httpx.AsyncClient, request: ChatRequest) -> Completion:
        """Try until it is answered or the policy ends it; raises _Rejected or a StepError."""
        attempt, nonsense, failing_since = 0, 0, 0.0
        while True:
            attempt += 1
            try:
                return await self._once(http, request)
            except _Again as again:
                now = time.monotonic()
                failing_since = failing_since or now
                nonsense += again.nonsense
                self._give_up(again, attempt, nonsense, failing_since, now)
                self.traffic.retries += 1
                await asyncio.sleep(self._policy.pause(attempt, again.retry_after))

    def _give_up(self, again: _Again, attempt: int, nonsense: int, failing_since: float, now: float) -> None:
        """Raise the StepError that ends the request, if it is to end."""
        where = f"{self._endpoint.field}.url {self._endpoint.url} (model {self._endpoint.model})"
        if nonsense >= self._policy.nonsense_attempts:
            raise StepFailed(
                "ServingNonsense",
                f"{where} gave {nonsense} answers that are no chat completion, the last one {again}: "
                "check that it is an OpenAI-compatible server and look at its log",
            )
        if attempt < self._policy.least_attempts or now - failing_since < self._policy.outage_seconds:
            return
        tried = f"{attempt} tries in {now - failing_since:.0f} s, the last one {again}"
        if self._last_success > failing_since:
            # The server lives, this request kills or stalls it: another attempt may end the same, so it is counted.
            raise StepFailed("RequestFailed", f"{where} answers other requests but not this one: {tried}")
        raise InfrastructureError("ServingUnavailable", f"{where} does not answer: {tried}")

    async def _once(self, http: httpx.AsyncClient, request: ChatRequest) -> Completion:
        self.traffic.meter.sent()
        try:
            async with asyncio.timeout(self._endpoint.request_timeout_seconds):
                response = await http.post(self._url, json=request.body(self._endpoint.model))
        except httpx.ConnectTimeout as error:
            raise _Again("took no connection") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise _Again(f"took longer than {self._endpoint.request_timeout_seconds:g} s") from error
        except httpx.TransportError as error:
            raise _Again(f"{type(error).__name__}: {error}") from error
        except httpx.InvalidURL as error:
            raise PermanentError(
                "ServingRejected", f"{self._endpoint.field}.url {self._endpoint.url!r}: {error}"
            ) from error
        finally:
            self.traffic.meter.returned()
            self._alive()
        return self._read(response, request)

    def _read(self, response: httpx.Response, request: ChatRequest) -> Completion:
        if is_retried(response.status_code):
            wait = retry_after_seconds(response.headers.get("retry-after"))
            raise _Again(f"HTTP {response.status_code}: {server_message(response.text)}", retry_after=wait)
        if not response.is_success:
            raise _Rejected(response.status_code, server_message(response.text))
        try:
            completion = parse_completion(response.json(), request.key)
        except ValueError as error:
            why = str(error) if isinstance(error, NonsenseAnswer) else f"is not JSON: {response.text[:60]!r}"
            raise _Again(why, nonsense=True) from error
        got = len(completion.choices)
        if got not in (1, request.samples):
            raise _Again(f"had {got} choices instead of {request.samples}", nonsense=True)
        self.traffic.requests += 1
        self.traffic.tokens += completion.tokens or 0
        self._last_success = time.monotonic()
        return completion

    def _rejected(self, rejected: _Rejected) -> PermanentError:
        match rejected.status:
            case 401 | 403:
                hint = "check the API key and its rights"
            case 404:
                hint = "check the URL (it ends with /v1) and the model's name"
            case _:
                hint = "change what the server objects to"
        return PermanentError(
            "ServingRejected",
            f"{self._endpoint.field}: POST {self._url} (model {self._endpoint.model}) answered {rejected.status}: "
            f"{rejected}: {hint}",
        )


def authorization(endpoint: ServingEndpoint) -> dict[str, str]:
    """The header with the endpoint's API key, if it has one. Raises PermanentError MissingApiKey."""
    if endpoint.api_key_variable is None:
        return {}
    key = os.environ.get(endpoint.api_key_variable, "").strip()
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
