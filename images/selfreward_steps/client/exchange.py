"""One request and its answer: sent again while that may help, put as the server takes it, and refused for good.

It must not know of lanes, batches or rows; :mod:`selfreward_steps.client.client` does.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from selfreward_steps.client.dialect import Dialect
from selfreward_steps.client.refusals import ServerError, read_error
from selfreward_steps.client.requests import ChatRequest, Completion, NonsenseAnswer, parse_completion
from selfreward_steps.client.retrying import RetryPolicy, is_retried, retry_after_seconds
from selfreward_steps.client.traffic import Traffic
from selfreward_steps.contract import ServingEndpoint
from selfreward_steps.errors import InfrastructureError, PermanentError, StepFailed
from selfreward_steps.json_text import parse_json

MOST_BYTES: Final = 64 << 20
"""Of an answer: 64 completions of 30,000 tokens with all that belongs to them are a tenth of it."""
_ENCODINGS: Final = ("", "identity", "gzip", "deflate")
"""What an answer may be packed by: what others make of a few bytes has no bound."""


@dataclass(frozen=True)
class _Answer:
    """A whole answer, unpacked."""

    response: httpx.Response
    content: bytes


class Rejected(Exception):
    """A 4xx that trying again would not change."""

    def __init__(self, error: ServerError) -> None:
        super().__init__(error.message)
        self.error = error


class _Again(Exception):
    """This try failed; another may not. `nonsense` tries are fewer."""

    def __init__(self, why: str, *, retry_after: float | None = None, nonsense: bool = False) -> None:
        super().__init__(why)
        self.retry_after = retry_after
        self.nonsense = nonsense


class _Learnt(Exception):
    """The server has said how it wants to be asked: to be sent again at once, which is no further try."""


class Exchange:
    """All requests to one endpoint, and what was learnt of it by them."""

    def __init__(
        self, endpoint: ServingEndpoint, policy: RetryPolicy, traffic: Traffic, alive: Callable[[], None]
    ) -> None:
        self.url = f"{endpoint.url.rstrip('/')}/chat/completions"
        self._endpoint = endpoint
        self._policy = policy
        self._traffic = traffic
        self._alive = alive
        self._dialect = Dialect()
        self._last_success = float("-inf")

    async def complete(self, http: httpx.AsyncClient, request: ChatRequest) -> Completion:
        """Try until it is answered or the policy ends it; raises Rejected or a StepError."""
        attempt, nonsense, failing_since = 0, 0, 0.0
        while True:
            try:
                return await self._once(http, request)
            except _Learnt:
                continue
            except _Again as again:
                attempt += 1
                now = time.monotonic()
                failing_since = failing_since or now
                nonsense += again.nonsense
                self._give_up(again, attempt, nonsense, failing_since, now)
                self._traffic.retries += 1
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
        body = self._dialect.put(request.body(self._endpoint.model))
        self._traffic.meter.sent()
        try:
            async with asyncio.timeout(self._endpoint.request_timeout_seconds):
                answer = await self._ask(http, body)
        except httpx.ConnectTimeout as error:
            raise _Again("took no connection") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise _Again(f"took longer than {self._endpoint.request_timeout_seconds:g} s") from error
        except httpx.DecodingError as error:
            raise _Again(f"cannot be unpacked: {error}", nonsense=True) from error
        except httpx.RequestError as error:
            raise _Again(f"{type(error).__name__}: {error}") from error
        except httpx.InvalidURL as error:
            raise PermanentError(
                "ServingRejected", f"{self._endpoint.field}.url {self._endpoint.url!r}: {error}"
            ) from error
        finally:
            self._traffic.meter.returned()
            self._alive()
        if not answer.response.is_success:
            self._fail(answer, body)
        return self._read(answer.content, request)

    async def _ask(self, http: httpx.AsyncClient, body: Mapping[str, Any]) -> _Answer:
        """Send `body`, and hold no more of what comes than an answer can be, whatever the server sends."""
        content = bytearray()
        async with http.stream("POST", self.url, json=body, headers={"accept-encoding": "gzip"}) as response:
            packed = response.headers.get("content-encoding", "").lower()
            if packed not in _ENCODINGS:
                raise _Again(f"is packed by {packed[:40]!r}, which was not asked for", nonsense=True)
            async for part in response.aiter_bytes():
                content += part
                if len(content) > MOST_BYTES:
                    raise _Again(f"is longer than {MOST_BYTES >> 20} MiB", nonsense=True)
        return _Answer(response, bytes(content))

    def _fail(self, answer: _Answer, body: Mapping[str, Any]) -> None:
        """Raise what the error answer means for the request."""
        response = answer.response
        text = answer.content.decode(errors="replace")
        if response.has_redirect_location:
            # Not followed: the key is for the host that the user names.
            text = f"go to {response.headers['location']}"
        error = read_error(response.status_code, text)
        if is_retried(error.status) and not error.is_out_of_credit:
            wait = retry_after_seconds(response.headers.get("retry-after"))
            raise _Again(f"HTTP {error.status}: {error.message}", retry_after=wait)
        known = set(self._dialect.left_out)
        if error.is_of_the_row and self._dialect.learn(body, error):
            for name in self._dialect.left_out - known:
                print(f"{self._endpoint.field}: {self._endpoint.model} takes no {name}: asked without", file=sys.stderr)
            raise _Learnt
        raise Rejected(error)

    def _read(self, content: bytes, request: ChatRequest) -> Completion:
        try:
            completion = parse_completion(parse_json(content), request.key)
        except ValueError as error:
            shown = content[:60].decode(errors="replace")
            why = str(error) if isinstance(error, NonsenseAnswer) else f"is not JSON: {shown!r}"
            raise _Again(why, nonsense=True) from error
        got = len(completion.choices)
        if got not in (1, request.samples):
            raise _Again(f"had {got} choices instead of {request.samples}", nonsense=True)
        self._traffic.requests += 1
        self._traffic.tokens += completion.tokens or 0
        self._last_success = time.monotonic()
        return completion
