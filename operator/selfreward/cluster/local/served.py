"""A Deployment of the local cluster: the init containers one after another, then one server, perhaps a kept one.

Replicas are the engine's own matter on one machine, so there is one server whatever the manifest says.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from selfreward_steps.contract import FailureClass

from selfreward.cluster.local.child import Child, Identity
from selfreward.cluster.local.exchange import Exchange
from selfreward.cluster.local.pod import Pod
from selfreward.cluster.local.probing import Check, answers
from selfreward.cluster.local.process import Program
from selfreward.plan import ChildPhase, Failure, ObservedChild

_START_PERIOD = 0.5
"""Seconds between looks at a server that has not answered yet: the whole run waits for it."""


class Served(Child):
    """One server as a child, ready once its readiness probe is answered; it may be given other models."""

    def __init__(
        self, identity: Identity, init: Sequence[Pod], server: Pod, probes: Mapping[str, Any], port: int, grace: float
    ) -> None:
        super().__init__(identity)
        self._pods = [*init, server]
        self._server = server
        self.port = port
        self._check = Check.of(probes["readinessProbe"], port)
        self._liveness = probes.get("livenessProbe", {})
        self._grace = grace
        self._ready = False
        self._hung = False
        self._watch: asyncio.Task[None] | None = None
        self._exchange: Exchange | None = None

    def assign(self, model: str | None, fetch: Pod | None, digest: str | None) -> None:
        """Serve this model from now on, once `fetch` has brought it, or sleep; being told again changes nothing."""
        if self._exchange is not None and self._exchange.model == model:
            return
        if self._exchange is not None:
            self._exchange.cancel()
        if model is not None:
            self.identity = replace(self.identity, model=model)
        self._exchange = Exchange(self._server, self.port, model, fetch, digest)

    def refresh(self, now: datetime) -> None:
        for pod in self._all_pods():
            pod.refresh(now)
        if self.deleting or self._failed() is not None:
            self._end_watch()
            return
        following = next((pod for pod in self._pods if not pod.has_ended), None)
        if following is not None and following.started_at is None:
            following.start(now)
        if following is self._server and self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._probe())

    def observed(self) -> ObservedChild:
        identity = self.identity
        failure = self._failed()
        phase = self._phase(failure)
        return ObservedChild(
            name=identity.name,
            uid=identity.uid,
            kind=identity.kind,
            phase=phase,
            created_at=identity.created_at,
            model=identity.model,
            attempt=identity.attempt,
            running_at=self._server.started_at,
            failures=() if failure is None else (failure,),
            waiting=self._waiting() if phase in (ChildPhase.PENDING, ChildPhase.RUNNING) else "",
            deleting=self.deleting,
        )

    def stop(self, grace: float | None = None) -> None:
        self.deleting = True
        self._end_watch()
        for pod in self._all_pods():
            pod.stop(self._grace if grace is None else grace)

    @property
    def program(self) -> Program:
        """What the server's pod runs."""
        return self._server.program

    @property
    def is_gone(self) -> bool:
        return not any(pod.is_running for pod in self._all_pods())

    @property
    def logs(self) -> list[Path]:
        return [pod.log for pod in self._all_pods()]

    def _all_pods(self) -> list[Pod]:
        fetch = None if self._exchange is None else self._exchange.fetch
        return self._pods if fetch is None else [*self._pods, fetch]

    async def _probe(self) -> None:
        """Ask until it answers, then now and then. A hung server is stopped, as the kubelet would restart it."""
        period = float(self._liveness.get("periodSeconds", 30))
        patience = int(self._liveness.get("failureThreshold", 6))
        unanswered = 0
        while True:
            if await answers(self._check):
                self._ready, unanswered = True, 0
            elif self._ready:
                unanswered += 1
                if unanswered >= patience:
                    self._hung = True
                    self._server.stop(self._grace)
                    return
            await asyncio.sleep(period if self._ready else _START_PERIOD)

    def _end_watch(self) -> None:
        if self._exchange is not None:
            self._exchange.cancel()
        if self._watch is not None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed already
                self._watch.cancel()

    def _phase(self, failure: Failure | None) -> ChildPhase:
        if failure is not None:
            return ChildPhase.FAILED
        if self._ready and self._exchange is not None:
            return self._exchange.phase
        if self._ready:
            return ChildPhase.READY
        return ChildPhase.PENDING if self._server.started_at is None else ChildPhase.RUNNING

    def _failed(self) -> Failure | None:
        for pod in self._pods:
            if pod.failure is not None:
                if self._hung:
                    return Failure(FailureClass.APPLICATION, "ServerHung", f"stopped answering {self._check.url}")
                return pod.failure
        if self._exchange is not None and self._exchange.failure is not None:
            return self._exchange.failure
        if self._server.has_ended:
            return Failure(FailureClass.APPLICATION, "ServerEnded", "the server ended by itself with exit code 0")
        return None

    def _waiting(self) -> str:
        """Why it does not answer yet: how far it is, in the words of its own log."""
        if self._ready and self._exchange is not None:
            return self._exchange.waiting
        running = next((pod for pod in self._pods if not pod.has_ended), self._server)
        loads = running is self._server
        # What else a server says is of use to whoever looks for a fault, in its log.
        words = running.output.last_stage if loads else running.output.last_line
        doing = "loading" if loads else "fetching the model"
        return f"{doing}: {words}" if words else doing
