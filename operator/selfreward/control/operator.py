"""The operator as a whole: what runs beside what, and what ends it.

One process: workers that take runs from the queue, watches and lists that put them there. It decides nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Final

from selfreward_steps.contract import StoreConfig
from selfreward_steps.errors import InfrastructureError, PermanentError
from selfreward_steps.store import Store

from selfreward.cluster.kubernetes import (
    Cache,
    Conflict,
    KubernetesClient,
    KubernetesCluster,
    KubernetesError,
    Refused,
    Unavailable,
)
from selfreward.cluster.kubernetes.resources import View
from selfreward.cluster.stores import Stores
from selfreward.control.keys import RunKey
from selfreward.control.lifecycle import Lifecycle
from selfreward.control.metrics import Metrics
from selfreward.control.queue import WorkQueue
from selfreward.control.reconcile import Reconciler
from selfreward.control.resync import RESYNC_SECONDS, Resync
from selfreward.control.settings import Settings
from selfreward.control.watching import Login, watch
from selfreward.render.resource import Resource

_MEND_SECONDS: Final = 60.0
"""Longest wait before something that somebody must mend is tried again."""
_RECOVERY_SECONDS: Final = 40.0
"""Longest wait for an API server that is out of reach: with the queue's jitter, less than a minute after it is back."""
_FIRST_LIST_PAUSE: Final = 2.0
"""Also the first wait before watches that ended are begun anew, doubled as long as they end at once."""
_DEAF_ROUNDS: Final = 3

logger = logging.getLogger(__name__)


class Operator:
    """The acting part of one replica: :meth:`run` it while the replica leads."""

    def __init__(
        self,
        client: KubernetesClient,
        settings: Settings,
        login: Login,
        now: Callable[[], datetime],
        *,
        metrics: Metrics | None = None,
        begun: Callable[[], None] = lambda: None,
        open_run_store: Callable[[StoreConfig], Store] | None = None,
        stores: Stores | None = None,
    ) -> None:
        self.metrics = metrics or Metrics()
        self.queue: WorkQueue[RunKey] = WorkQueue()
        self.metrics.queue_depth.set_function(lambda: self.queue.depth)
        self._settings = settings
        self._login = login
        self._begun = begun
        self._cache = Cache()
        self._cluster = KubernetesCluster(client, self._cache, settings.images, now, open_run_store, stores)
        self._resync = Resync(client, self._cache, settings.namespaces, self.queue.add_news)
        self._reconciler = Reconciler(
            client,
            self._cluster,
            Lifecycle(client, self._cluster, now, settings.storage),
            self.metrics,
            now,
            settings.storage,
            settings.defaults,
        )
        self._deaf_rounds: Counter[Resource] = Counter()
        self._streamed: set[Resource] = set()
        """Whose watch has told of a change since it was last found deaf."""
        self._listed_at: float | None = None
        self._short_watches = 0
        """How many in a row ended soon after they had begun."""

    async def run(self) -> None:
        """Act until cancelled. Everything is listed before anything is decided: a child not seen is no child lost."""
        served = await self._first_list()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_and_list(served))
            for _ in range(self._settings.workers):
                tasks.create_task(self._work())

    def ailment(self) -> str:
        """What is wrong with this process that a restart may mend; empty when nothing is."""
        if max(self._deaf_rounds.values(), default=0) >= _DEAF_ROUNDS:
            return "watches are silent"
        if self.queue.oldest > self._settings.stuck_seconds:
            return f"a run has waited for {self.queue.oldest:.0f} s"
        return ""

    async def _first_list(self) -> frozenset[Resource]:
        while True:
            try:
                served = await self._resync.served()
                self._cluster.served = served
                await self._resync.all(served, every_run=True)
            except KubernetesError as error:
                logger.warning("the first list failed, again in %.0f s: %s", _FIRST_LIST_PAUSE, error)
                await asyncio.sleep(_FIRST_LIST_PAUSE)
            else:
                self._listed_at = asyncio.get_running_loop().time()
                return served

    async def _watch_and_list(self, served: frozenset[Resource]) -> None:
        """Watch; begin anew when a watch is deaf or ends, and when the cluster serves other types than before."""
        while True:
            watching = asyncio.create_task(self._watch(served))
            try:
                served = await self._until_stale(served, watching)
            finally:
                watching.cancel()
                await asyncio.wait([watching])

    async def _watch(self, served: frozenset[Resource]) -> None:
        """Watches, whose end is no end of the operator: whatever ended them, they are begun anew."""
        why = await watch(served, self._settings.namespaces, self._login, self._told, self._begun)
        logger.warning("the watches ended: %s", why)

    async def _until_stale(self, served: frozenset[Resource], watching: asyncio.Task[None]) -> frozenset[Resource]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            done, _ = await asyncio.wait([watching], timeout=RESYNC_SECONDS)
            if done:
                if (error := watching.exception()) is not None:
                    logger.error("the watches failed", exc_info=error)
                # What was missed meanwhile is listed once the watches have begun again.
                await asyncio.sleep(self._pause(lived=loop.time() - began))
            try:
                found = await self._resync.served()
                deaf = await self._resync.all(found)
            except KubernetesError as error:
                logger.warning("the list failed, again in %.0f s: %s", RESYNC_SECONDS, error)
                found, deaf = served, frozenset()
            else:
                self._listed_at = loop.time()
                self._cluster.keep(self._resync.run_uids)
                self._note_deaf(deaf)
            self._cluster.served = found
            if done or deaf or found != served:
                return found

    def _pause(self, lived: float) -> float:
        """How long to wait after the end of watches that lived so many seconds."""
        self._short_watches = self._short_watches + 1 if lived < RESYNC_SECONDS else 0
        return min(_RECOVERY_SECONDS, _FIRST_LIST_PAUSE * 2.0 ** max(0, self._short_watches - 1))

    def _note_deaf(self, deaf: frozenset[Resource]) -> None:
        """Count rounds in which a watch was deaf. One that was opened anew lists everything, and so is never deaf at
        first: only a change that it tells of shows that it hears."""
        self._streamed -= deaf
        self._deaf_rounds.update(deaf)
        for resource in self._streamed:
            self._deaf_rounds.pop(resource, None)

    async def _told(self, resource: Resource, what: str | None, item: View) -> None:
        if what is not None:
            self._streamed.add(resource)
        self._resync.told(resource, what == "DELETED", item)

    async def _work(self) -> None:
        while True:
            key = await self.queue.take()
            try:
                await self._look(key)
            finally:
                self.queue.done(key)

    async def _look(self, key: RunKey) -> None:
        """The one place that catches everything: a run that cannot be dealt with must not stop the others."""
        try:
            wait = await self._reconciler.reconcile(key, waited=self.queue.waited(key))
        except Conflict as error:
            self._again(key, "conflict", error, at_most=1.0)
        except Unavailable as error:
            self._again(key, "unavailable", error, at_least=error.retry_after, at_most=_RECOVERY_SECONDS)
        except (Refused, PermanentError) as error:
            self._again(key, "refused", error, at_most=_MEND_SECONDS)
        except (KubernetesError, InfrastructureError) as error:
            self._again(key, "unavailable", error)
        except Exception:
            seconds = self.queue.retry(key)
            self.metrics.reconciles.labels("error").inc()
            logger.exception("%s: unexpected, again in %.0f s", key, seconds)
        else:
            self.metrics.reconciles.labels("done").inc()
            self.queue.forgive(key)
            if wait is not None:
                self.queue.add(key, wait)

    def _again(
        self, key: RunKey, outcome: str, error: Exception, *, at_least: float = 0, at_most: float = 300.0
    ) -> None:
        seconds = self.queue.retry(key, at_least, at_most)
        self.metrics.reconciles.labels(outcome).inc()
        logger.warning("%s: again in %.1f s: %s", key, seconds, error, extra={"run": str(key)})
