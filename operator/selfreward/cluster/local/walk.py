"""The walk of a run on this machine: observe, decide, write the status, act, until it has finished or must stop.

All it decides is when to look. It may be killed at any moment: what it was about to do stands in the record, and
every act is harmless when repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from selfreward_steps.errors import InfrastructureError

from selfreward.api import Reason, RunStatus, SelfRewardRun, SuspendPolicy
from selfreward.cluster.acting import carry_out
from selfreward.cluster.local.cluster import LocalCluster
from selfreward.cluster.local.record import RunFolder
from selfreward.plan import (
    Decision,
    Graph,
    Observed,
    artifacts_to_observe,
    build_graph,
    decide,
)

TICK: Final = 0.2
"""Seconds between two looks at the processes of this machine, which costs next to nothing."""
STORE_PAUSE: Final = 5.0
"""Seconds until a store out of reach is asked again."""


class Listener(Protocol):
    """A display that shows the walk to the user."""

    def looked(self, run: SelfRewardRun, observed: Observed, decision: Decision) -> None:
        """Show the run after a look at it."""
        ...

    def store_unavailable(self, error: InfrastructureError) -> None:
        """The store did not answer; the walk waits for it."""
        ...


class Walk:
    """The walk of one run, from where its record stands."""

    def __init__(
        self,
        run: SelfRewardRun,
        cluster: LocalCluster,
        folder: RunFolder,
        listener: Listener,
        now: Callable[[], datetime],
    ) -> None:
        self.run = run
        self._graph: Graph = build_graph(run.spec)
        self._cluster = cluster
        self._folder = folder
        self._listener = listener
        self._now = now
        self._stopping = False
        self._wake = asyncio.Event()

    def stop(self) -> None:
        """Suspend the run and end: children are told to stop. Once more kills them."""
        if self._stopping:
            self._cluster.stop_all(grace=0)
        self._stopping = True
        self._wake.set()

    async def walk(self) -> SelfRewardRun:
        """Walk until the run has finished, is suspended or needs approval, or :meth:`stop` was called; nothing runs
        any more then.

        Raises PermanentError when the store refuses.
        """
        try:
            return await self._walk()
        finally:
            self._cluster.close()

    async def _walk(self) -> SelfRewardRun:
        await self._take_back_lost_attempts()
        while True:
            try:
                observed = await self._look(suspended=self._stopping)
            except InfrastructureError as error:
                self._listener.store_unavailable(error)
                await self._pause(STORE_PAUSE)
                # A store that is away must not keep a stopped run's processes alive.
                if self._stopping and await self._stop_without_store():
                    return self.run
                continue
            if self._has_ended(observed):
                return self.run
            await self._pause(TICK)

    async def _take_back_lost_attempts(self) -> None:
        """A runner that starts has no children. What the last one had under way goes on, uncounted, as after a
        suspension: it did not fail."""
        if self.run.status.started_at is None or self.run.status.finished_at is not None:
            return
        while True:
            try:
                await self._look(suspended=True)
            except InfrastructureError as error:
                self._listener.store_unavailable(error)
                await self._pause(STORE_PAUSE)
                if self._stopping:
                    return
            else:
                return

    async def _look(self, *, suspended: bool) -> Observed:
        run = _suspended(self.run) if suspended else self.run
        observed = await self._cluster.observe(run, self._graph, artifacts_to_observe(self._graph, run.status))
        decision = decide(run, observed, self._now())
        if decision.status != self.run.status:
            self.run = self.run.model_copy(update={"status": decision.status})
            self._folder.save(self.run)
        await carry_out(self._cluster, self.run, self._graph, decision)
        if self._stopping or not suspended:
            # Taking back lost attempts is no suspension that anybody asked for.
            self._listener.looked(self.run, observed, decision)
        return observed

    def _has_ended(self, observed: Observed) -> bool:
        """Whether the status says that nothing more will happen, and no process is left."""
        status = self.run.status
        over = status.finished_at is not None or status.suspended_at is not None or waits_for_approval(status)
        return over and not self._cluster.is_busy and not any(child.deleting for child in observed.children)

    async def _stop_without_store(self) -> bool:
        self._cluster.stop_all()
        while self._cluster.is_busy:
            await self._pause(TICK)
            self._cluster.refresh()
        return True

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()


def waits_for_approval(status: RunStatus) -> bool:
    """Whether the next iteration needs approval, which on one machine comes with the next start of the runner."""
    return any(condition.reason == Reason.WAITING_FOR_APPROVAL for condition in status.conditions)


def _suspended(run: SelfRewardRun) -> SelfRewardRun:
    spec = run.spec.model_copy(update={"suspend": True, "suspend_policy": SuspendPolicy.IMMEDIATE})
    return run.model_copy(update={"spec": spec})
