"""The server as its agent sees it, over loopback and with the run's key."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from selfreward_steps.contract import EXCHANGE_PATH, ModelExchange


@dataclass(frozen=True, slots=True)
class Told:
    """What the server says of itself."""

    state: str
    model: str | None
    digest: str | None
    error: str


class Unsure(Exception):
    """The server is there and did not answer in time: busy, perhaps. What it said before may still hold."""


class Server:
    """The one server of this pod."""

    def __init__(self, port: int, key: str) -> None:
        self._url = f"http://localhost:{port}{EXCHANGE_PATH}"
        self._headers = {"Authorization": f"Bearer {key}"}

    async def ask(self) -> Told | None:
        """What it says; None while nobody listens, or answers such questions. Raises Unsure."""
        return await self._send("GET", None, 5.0)

    async def tell(self, exchange: ModelExchange) -> Told | None:
        """What it says after it has done, or tried, what it is told: it takes as long as it takes."""
        return await self._send("POST", exchange.model_dump_json(), None)

    async def _send(self, method: str, content: str | None, timeout: float | None) -> Told | None:
        # Our own server, in this pod: no proxy.
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=httpx.Timeout(timeout, connect=5.0)) as client:
                answer = await client.request(method, self._url, content=content, headers=self._headers)
        except httpx.ReadTimeout as error:
            raise Unsure from error
        except httpx.HTTPError:
            return None
        if answer.status_code not in (200, 500):
            return None
        told = answer.json()
        return Told(told["state"], told.get("model"), told.get("digest"), told.get("error") or "")
