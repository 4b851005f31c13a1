"""The exchange of a kept server's model on this machine: the new one is brought, then the server is told of it."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime

import httpx
from selfreward_steps.contract import EXCHANGE_PATH, MODEL_DIR_VARIABLE, SERVING_KEY, FailureClass, ModelExchange

from selfreward.cluster.local.pod import Pod
from selfreward.plan import EXCHANGE_FAILED, ChildPhase, Failure

_LOOK = 0.05
"""Seconds between looks at the process that brings the model."""


class Exchange:
    """One exchange, from when the server is told until it is told something else."""

    def __init__(self, server: Pod, port: int, model: str | None, fetch: Pod | None, digest: str | None) -> None:
        """`server` is the process that listens on `port`; without a model it is put to sleep."""
        self.model = model
        self.fetch = fetch
        self.failure: Failure | None = None
        self._server = server
        self._url = f"http://127.0.0.1:{port}{EXCHANGE_PATH}"
        self._digest = digest
        self._done = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def phase(self) -> ChildPhase:
        """What the server is, as far as this exchange knows."""
        if not self._done:
            return ChildPhase.RUNNING
        return ChildPhase.ASLEEP if self.model is None else ChildPhase.READY

    @property
    def waiting(self) -> str:
        """Why it does not answer yet."""
        if self.model is None:
            return "falling asleep"
        return f"taking the weights of {self.model}"

    def cancel(self) -> None:
        """Give up telling the server; what it has heard it may still do."""
        with contextlib.suppress(RuntimeError):  # the loop may be closed already
            self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._brought()
            await self._told()
        except (httpx.HTTPError, _Refused) as error:
            words = str(error) or type(error).__name__
            self.failure = Failure(FailureClass.APPLICATION, EXCHANGE_FAILED, words)
        self._done = True

    async def _brought(self) -> None:
        if self.fetch is None:
            return
        self.fetch.start(datetime.now(UTC))
        while not self.fetch.has_ended:
            await asyncio.sleep(_LOOK)
            self.fetch.refresh(datetime.now(UTC))
        if self.fetch.failure is not None:
            raise _Refused(self.fetch.failure.message)

    async def _told(self) -> None:
        """Tell the server, and believe it only when it says that it serves just this."""
        folder = None if self.fetch is None else self.fetch.program.environment[MODEL_DIR_VARIABLE]
        asked = ModelExchange(model=self.model, folder=folder, digest=self._digest)
        key = self._server.program.environment.get(SERVING_KEY, "")
        # Our own server, on this machine: no proxy, and as long as it takes; deadlines are the plan's.
        async with httpx.AsyncClient(trust_env=False, timeout=None) as client:
            answer = await client.post(
                self._url, content=asked.model_dump_json(), headers={"Authorization": f"Bearer {key}"}
            )
        told = answer.json() if answer.status_code in (200, 500) else {}
        if answer.status_code != 200 or (self.model is not None and told.get("model") != self.model):
            raise _Refused(told.get("error") or f"the server answered {answer.status_code}")
        if told.get("digest") != self._digest:
            raise _Refused(f"the server says that it serves digest {told.get('digest')}, not {self._digest}")


class _Refused(Exception):
    """The model could not be brought, or the server did not take it."""
