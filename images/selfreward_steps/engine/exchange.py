"""The exchange of a vLLM server's model, as middleware of its API server (`--middleware`).

vLLM can sleep and take other weights. Over HTTP it offers that at development endpoints, which its key does not guard;
here the engine is asked from within, at one address, which asks for the run's key. What must hold: an answer never
comes from other weights than those of the model that is named. So nobody is answered while the model changes, nor after
an exchange that failed, and an exchange has succeeded when the files are those that were verified, the workers hold
what they say, no cache of the old model is left, and only the new name is known. A server may run several engines
(`--data-parallel-size`): each of them is asked, and an error of any is an exchange that failed.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
from collections.abc import Awaitable, Callable, MutableMapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from selfreward_steps.contract import (
    EXCHANGE_PATH,
    MODEL_DIGEST_VARIABLE,
    MODEL_DIR_VARIABLE,
    MODEL_NAME_VARIABLE,
    SERVING_KEY,
    VERIFIED,
    ModelExchange,
)
from selfreward_steps.engine.likeness import differing_file, file_stamps

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

DRAIN_SECONDS: Final = 60.0
"""How long an exchange waits for requests that still run. Their client is gone, so the engine drops them by itself."""
_ALWAYS_ANSWERED: Final = frozenset({"/health", "/metrics", "/version", "/ping"})
_MAX_BODY: Final = 64 << 10

_log = logging.getLogger(__name__)


class State(StrEnum):
    """Whom a server answers."""

    SERVING = "serving"
    ASLEEP = "asleep"
    CHANGING = "changing"
    BROKEN = "broken"
    """An exchange failed half-way: what it would answer from is unknown. Only a new server helps."""


class ExchangeFailed(Exception):
    """An exchange that cannot be finished; the message is one line."""


class Exchange:
    """ASGI middleware that exchanges the model of the engine behind it, and keeps requests out meanwhile."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._key = os.environ.get(SERVING_KEY, "")
        self._model: str | None = os.environ.get(MODEL_NAME_VARIABLE)
        self._folder = Path(os.environ.get(MODEL_DIR_VARIABLE, ""))
        self._digest = os.environ.get(MODEL_DIGEST_VARIABLE) or None
        self._state = State.SERVING
        self._error = ""
        self._running = 0
        self._lock = asyncio.Lock()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _ALWAYS_ANSWERED:
            await self._app(scope, receive, send)
        elif scope["path"] == EXCHANGE_PATH:
            await self._answer(scope, receive, send)
        elif self._state is not State.SERVING:
            await _reply(send, 503, {"error": {"message": f"the server is {self._state}", "type": "Unavailable"}})
        else:
            self._running += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._running -= 1

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        if not self._has_key(scope):
            await _reply(send, 401, {"error": "Unauthorized"})
        elif scope["method"] == "GET":
            await _reply(send, 200, self._told())
        elif scope["method"] != "POST":
            await _reply(send, 405, {"error": "GET or POST"})
        else:
            try:
                asked = ModelExchange.model_validate_json(await _body(receive))
            except ValidationError as error:
                await _reply(send, 400, {"error": error.errors(include_url=False, include_input=False)[0]["msg"]})
                return
            async with self._lock:
                done = await self._change(scope["app"].state, asked)
            await _reply(send, 200 if done else 500, self._told())

    def _has_key(self, scope: Message) -> bool:
        """Without a key there is no exchange: anybody who reaches the port could ask for it."""
        given = dict(scope["headers"]).get(b"authorization", b"")
        return bool(self._key) and hmac.compare_digest(given, f"Bearer {self._key}".encode())

    def _told(self) -> dict[str, str | None]:
        return {"state": self._state, "model": self._model, "digest": self._digest, "error": self._error}

    async def _change(self, server: Any, asked: ModelExchange) -> bool:
        if self._state is State.BROKEN:
            return False
        was_asleep = self._state is State.ASLEEP
        self._state = State.CHANGING
        try:
            await self._drain()
            if asked.model is None:
                await self._sleep(server.engine_client)
            else:
                await self._load(server, asked.model, asked, was_asleep=was_asleep)
        except Exception as error:  # noqa: BLE001 - whatever vLLM raises, what the engine holds is not known any more
            self._state, self._error = State.BROKEN, f"{type(error).__name__}: {error}".splitlines()[0]
            _log.exception("exchange to %s failed", asked.model)
            return False
        self._state = State.ASLEEP if asked.model is None else State.SERVING
        return True

    async def _drain(self) -> None:
        async with asyncio.timeout(DRAIN_SECONDS):
            while self._running:
                await asyncio.sleep(0.02)

    async def _sleep(self, engine: Any) -> None:
        # Level 2 drops the weights, which the next model replaces anyway; they are not copied to the host first.
        await engine.sleep(level=2)
        self._digest = None

    async def _load(self, server: Any, model: str, asked: ModelExchange, *, was_asleep: bool) -> None:
        engine, folder = server.engine_client, Path(asked.folder or self._folder)
        if (name := differing_file(self._folder, folder)) is not None:
            raise ExchangeFailed(f"{name} of {model} differs from that of {self._model}: it needs a server of its own")
        if was_asleep:
            await engine.wake_up(["weights"])
        await engine.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
        await engine.collective_rpc("selfreward_compare", args=(str(folder),))
        if was_asleep:
            await engine.wake_up(["kv_cache"])
        # So asked, an engine that cannot raises; otherwise it answers, and vLLM 0.26 hands on the first answer alone.
        if not await engine.reset_prefix_cache(reset_running_requests=True):
            raise ExchangeFailed("the prefix cache could not be reset")
        verified = json.loads((folder / VERIFIED).read_text(encoding="utf-8"))
        if file_stamps(folder) != verified:
            raise ExchangeFailed(f"the files of {model} changed after they were verified")
        _rename(server.openai_serving_models, model, folder)
        self._model, self._folder, self._digest = model, folder, asked.digest


def _rename(models: Any, model: str, folder: Path) -> None:
    """Let the server know the model by its name, and by no other."""
    paths = models.base_model_paths
    # In place: vLLM shares the list between those who look it up.
    paths[:] = [type(paths[0])(name=model, model_path=str(folder))]
    if not models.is_base_model(model) or models.model_name() != model:
        raise ExchangeFailed(f"the server does not take the name {model}")


async def _body(receive: Receive) -> bytes:
    body = b""
    while len(body) < _MAX_BODY:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body


async def _reply(send: Send, status: int, content: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})
