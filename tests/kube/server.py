"""The sockets of the API server: HTTP in, JSON or a stream out, and the fault plan in between."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import yaml
from aiohttp import web

from kube import discovery, errors
from kube.api import Api
from kube.errors import ApiError
from kube.faults import Fault, FaultKind, FaultPlan
from kube.requests import Logged, Request, RequestLog, parse
from kube.storage import Object
from kube.watching import Watch

AfterWrite = Callable[[Logged], None]


class Server:
    """Serves an :class:`Api` on a free port of the loopback interface."""

    def __init__(self, api: Api, faults: FaultPlan, failures: list[BaseException]) -> None:
        """`failures` takes what hooks raise: a client sees no more of it than a status 500."""
        self.api = api
        self.faults = faults
        self.failures = failures
        self.requests = RequestLog()
        self.after_write: list[AfterWrite] = []
        self.warnings: list[str] = []
        """Unknown fields that clients sent."""
        self.url = ""
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # A watch ends when its client goes away; anything else commits without an await, see _plain.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        """End all watches, then all connections."""
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        document = discovery.document(http.path, self.api.installed.values()) if http.method == "GET" else None
        if document is not None:
            return await self._discover(http, document)
        try:
            request = await self._read(http)
        except ApiError as error:
            return _refusal(error)
        logged = Logged(
            request.verb,
            request.plural,
            request.kind.kind,
            request.namespace,
            request.name or request.sent_name,
            request.user_agent,
            self.api.clock.seconds,
        )
        self.requests.entries.append(logged)
        fault = self.faults.for_request(logged)
        logged.fault = str(fault) if fault is not None else ""

        def answer() -> Awaitable[web.StreamResponse]:
            return self._answer(http, request, logged)

        response = await (answer() if fault is None else self._struck(http, fault, answer))
        logged.status = response.status if logged.status is None and not _is_cut(http) else logged.status
        return response

    async def _discover(self, http: web.Request, document: Object) -> web.StreamResponse:
        self.requests.discoveries += 1
        agent = http.headers.get("User-Agent", "").partition("/")[0]
        logged = Logged("discover", http.path, "", "", "", agent, self.api.clock.seconds)
        fault = self.faults.for_request(logged)
        if fault is None:
            return web.json_response(document)
        return await self._struck(http, fault, lambda: _json(document))

    async def _read(self, http: web.Request) -> Request:
        content_type = http.headers.get("Content-Type", "").partition(";")[0]
        request = parse(http.method, http.path, http.query, content_type, self.api.find)
        request.user_agent = http.headers.get("User-Agent", "").partition("/")[0]
        text = await http.text()
        if text:
            try:
                request.body = _parsed(text, content_type)
            except (ValueError, yaml.YAMLError) as error:
                raise errors.bad_request(f"error decoding the body: {error}") from error
        return request

    async def _struck(
        self, http: web.Request, fault: Fault, answer: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """What the client of a struck request gets; `answer` does what was asked."""
        match fault.kind:
            case FaultKind.ANSWER:
                headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
                return web.json_response(fault.as_status(), status=fault.answer, headers=headers)
            case FaultKind.RESET_BEFORE_COMMIT:
                return _cut(http)
            case FaultKind.SLOW:
                response = await answer()
                await asyncio.sleep(fault.seconds)
                return response
            case FaultKind.TIMEOUT_AFTER_COMMIT:
                await answer()
                await self._silence(fault.seconds)
                return _cut(http)
            case FaultKind.RESET_AFTER_COMMIT:
                await answer()
                return _cut(http)

    async def _answer(self, http: web.Request, request: Request, logged: Logged) -> web.StreamResponse:
        if request.verb == "watch":
            return await self._watch(http, request, logged)
        if request.subresource == "log":
            return await self._log(http, request)
        return self._plain(request, logged)

    def _plain(self, request: Request, logged: Logged) -> web.StreamResponse:
        """Synchronous from the first look to the commit, so no request sees another half done."""
        warnings: list[str] = []
        revision = self.api.storage.revision
        try:
            status, body = self.api.answer(request, warnings)
        except ApiError as error:
            return _refusal(error)
        self.warnings += warnings
        logged.committed = self.api.storage.revision != revision
        if logged.committed:
            try:
                for hook in list(self.after_write):
                    hook(logged)
            except Exception as error:
                self.failures.append(error)
                raise
        headers = [("Warning", f'299 - "{text}"') for text in (each.replace('"', '\\"') for each in warnings)]
        text = self.api.storage.text(body) if request.shows_an_object else json.dumps(body)
        return web.json_response(text=text, status=status, headers=headers)

    async def _watch(self, http: web.Request, request: Request, logged: Logged) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        logged.status = 200
        watch = Watch(self.api.storage, self.api.clock, self.faults, request, self._closing)
        try:
            watch.check()
        except ApiError as error:
            return _refusal(error)
        await response.prepare(http)
        await watch.run(response.write)
        return response

    async def _log(self, http: web.Request, request: Request) -> web.StreamResponse:
        pod = self.api.storage.view(request.kind, request.namespace, request.name)
        try:
            if pod is None:
                raise errors.not_found(request.kind, request.name)
            lines = self.api.logs.read(pod, request.query)
            first = await anext(lines, None)
        except ApiError as error:
            return _refusal(error)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(http)
        if first is not None:
            await response.write(first)
            async for line in lines:
                await response.write(line)
        return response

    async def _silence(self, seconds: float) -> None:
        waiter = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait([waiter], timeout=seconds)
        finally:
            waiter.cancel()


def _parsed(text: str, content_type: str) -> Any:
    if content_type.endswith("yaml"):
        # What clients send as YAML is JSON most of the time, and that is read a hundred times as fast.
        with contextlib.suppress(ValueError):
            return _strict(text)
        return yaml.safe_load(text)
    return _strict(text)


def _strict(text: str) -> Any:
    """JSON as Go reads it: NaN and infinity are none, and a whole number beyond 64 bits is no integer."""
    return json.loads(text, parse_constant=_no_number, parse_int=_of_64_bits)


def _no_number(name: str) -> float:
    raise ValueError(f"invalid character {name[0]!r} looking for beginning of value")


def _of_64_bits(text: str) -> int | float:
    return int(text) if len(text) < 20 and abs(int(text)) < 1 << 63 else float(text)


async def _json(body: Object) -> web.StreamResponse:
    return web.json_response(body)


def _refusal(error: ApiError) -> web.Response:
    retry = error.details.get("retryAfterSeconds")
    headers = {"Retry-After": str(retry)} if retry is not None else {}
    return web.json_response(error.as_status(), status=error.code, headers=headers)


def _cut(http: web.Request) -> web.Response:
    """Reset the connection; the response is never sent, aiohttp only wants one."""
    if http.transport is not None:
        http.transport.abort()
    return web.Response()


def _is_cut(http: web.Request) -> bool:
    return http.transport is None or http.transport.is_closing()
