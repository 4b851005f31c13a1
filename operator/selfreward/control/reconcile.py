"""One look at one run: read, observe, decide, write the status, and only when that write held: act.

Whoever dies between two of these leaves nothing behind that the next look does not put right. Several operators may
look at the same run at the same time: the status write lets one of them through, and names make creates harmless.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from selfreward_steps.errors import InfrastructureError, PermanentError

from selfreward.api import PAUSED, Reason, RunStatus, SelfRewardRun, SelfRewardRunSpec, StepState
from selfreward.cluster.acting import carry_out
from selfreward.cluster.kubernetes import KubernetesClient, KubernetesCluster, NotFound, Refused
from selfreward.cluster.kubernetes.logs import PERIOD
from selfreward.cluster.kubernetes.obstacles import refusal
from selfreward.cluster.kubernetes.resources import RUNS, View
from selfreward.control.defaults import RunDefaults
from selfreward.control.events import Events
from selfreward.control.keys import RunKey, key_of
from selfreward.control.lifecycle import Lifecycle
from selfreward.control.metrics import Metrics
from selfreward.control.runs import (
    UnreadableRun,
    annotation,
    is_managed_elsewhere,
    parse_run,
    parse_status,
    with_status,
)
from selfreward.control.storage import StoragePolicy
from selfreward.plan import (
    ChildPhase,
    Decision,
    Graph,
    Observed,
    Obstacle,
    artifacts_to_observe,
    build_graph,
    decide,
    stalled_status,
)
from selfreward.plan.obstacles import LASTING_SECONDS, REFUSED_SECONDS

_COMMIT_PERIOD: Final = 2.0
"""Seconds between two looks for the output of a child that has ended well."""

_ASSIGN_PERIOD: Final = 1.0
"""Seconds between two looks whether a kept engine has heard what it was told."""

logger = logging.getLogger(__name__)


class Reconciler:
    """Reconciles runs, one look at one run at a time."""

    def __init__(
        self,
        client: KubernetesClient,
        cluster: KubernetesCluster,
        lifecycle: Lifecycle,
        metrics: Metrics,
        now: Callable[[], datetime],
        storage: StoragePolicy,
        defaults: RunDefaults,
    ) -> None:
        self._client = client
        self._cluster = cluster
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._now = now
        self._events = Events(client, now)
        self._storage = storage
        self._defaults = defaults
        self._refusals: dict[RunKey, Obstacle] = {}
        self._graphs: dict[RunKey, tuple[SelfRewardRunSpec, Graph]] = {}

    async def reconcile(self, key: RunKey, *, waited: float = 0.0) -> float | None:
        """Bring the run one decision further; returns after how many seconds to look again, if not before. The look had
        `waited` so many seconds for its turn.

        Raises KubernetesError and InfrastructureError when it could not, and Refused or PermanentError when somebody
        must act first; the status says all of them once they have lasted, but that the API server is away.
        """
        begun = self._metrics.clock() - waited
        try:
            raw = await self._client.get(RUNS, key.namespace, key.name)
        except NotFound:
            self._forget(key)
            return None
        if is_managed_elsewhere(raw):
            self._forget(key)
            await self._lifecycle.let_go(raw)
            return None
        if raw["metadata"].get("deletionTimestamp") is not None:
            return await self._delete(raw)
        if annotation(raw, PAUSED) == "true":
            return None
        try:
            run = parse_run(raw, self._storage, self._defaults)
        except UnreadableRun as error:
            await self._write_stalled(raw, Obstacle(Reason.INVALID_SPEC, str(error), self._now()))
            return None
        try:
            settled = await self._lifecycle.settle(raw, run)
            if settled is not None:
                return settled
            wait = await self._walk(key, raw, run, begun)
        except (Refused, PermanentError, InfrastructureError) as error:
            await self._note_refusal(key, refusal(run, error, self._now()), _patience(error))
            raise
        refused = self._refusals.pop(key, None)
        # What was refused has been done: the next look takes the conditions back that said so.
        return wait if refused is None else 0.0

    async def _delete(self, raw: View) -> float | None:
        going = await self._lifecycle.delete(raw)
        if going.obstacle is not None:
            await self._write_stalled(raw, going.obstacle)
        await self._events.post(raw, going.events)
        return going.wait

    async def _walk(self, key: RunKey, raw: View, run: SelfRewardRun, begun: float) -> float | None:
        graph = self._graph(key, run)
        observed = await self._cluster.observe(run, graph, artifacts_to_observe(graph, run.status))
        if (refused := self._refusals.get(key)) is not None:
            observed = replace(observed, obstacles=(refused, *observed.obstacles))
        now = self._now()
        decision = decide(run, observed, now)
        status = decision.status
        if status is not run.status:
            raw = await self._client.replace(RUNS, with_status(raw, status), "status")
            _log(key, run.status, status)
        await carry_out(self._cluster, run, graph, decision)
        handed_off = begun if decision.create else None
        self._metrics.decided(str(key), run, graph, status, now, handed_off=handed_off)
        begins = run.status.started_at is None and status.started_at is not None
        cautions = self._cluster.cautions(run, graph) if begins else []
        await self._events.post(raw, [*decision.events, *cautions])
        return self._next_look(run, status, observed, decision)

    async def _note_refusal(self, key: RunKey, obstacle: Obstacle, patience: float) -> None:
        """Remember why nothing can be done, for the next decision.

        While the store refuses to be read, or does not answer, there is no next decision, so what has lasted for
        `patience` seconds is written here too.
        """
        known = self._refusals.get(key)
        self._refusals[key] = obstacle if known is None else replace(obstacle, since=known.since)
        if known is not None and (obstacle.since - known.since).total_seconds() >= patience:
            await self._write_stalled(await self._client.get(RUNS, key.namespace, key.name), obstacle)

    async def _write_stalled(self, raw: View, obstacle: Obstacle) -> None:
        before = parse_status(raw)
        status = stalled_status(before, obstacle, int(raw["metadata"].get("generation", 1)), self._now())
        if status is not before:
            await self._client.replace(RUNS, with_status(raw, status), "status")
        if (key := key_of(RUNS, raw)) is not None:
            self._metrics.of_runs.note_unreadable(str(key), status)

    def _next_look(self, run: SelfRewardRun, status: RunStatus, observed: Observed, decision: Decision) -> float | None:
        """When time alone, or what no watch tells (logs, the store), may have changed something."""
        waits = [] if decision.requeue_after is None else [max(0.0, decision.requeue_after)]
        if decision.create:
            # The answers to the creates are known already: note their uids at once, whatever the watch does.
            waits.append(0.0)
        rows = [row for iteration in status.iterations for row in iteration.steps]
        told = {assign.name for assign in decision.assign}
        if any(child.name in told and child.phase is not ChildPhase.PENDING for child in observed.children):
            # No watch tells of what an agent says.
            waits.append(_ASSIGN_PERIOD)
        if decision.delete:
            # No watch tells of a child that was gone before it was deleted.
            waits.append(PERIOD)
        if any(row.state in (StepState.STARTING, StepState.RUNNING) for row in rows) or status.servings:
            waits.append(PERIOD)
        ended = {child.name for child in observed.children if child.phase.is_terminal}
        if any(row.state is StepState.RUNNING and row.child in ended for row in rows):
            waits.append(_COMMIT_PERIOD)
        ttl = self._lifecycle.ttl_left(run.spec, status)
        if ttl is not None:
            waits.append(ttl)
        return min(waits, default=None)

    def _graph(self, key: RunKey, run: SelfRewardRun) -> Graph:
        known = self._graphs.get(key)
        if known is None or known[0] != run.spec:
            known = (run.spec, build_graph(run.spec))
            self._graphs[key] = known
        return known[1]

    def _forget(self, key: RunKey) -> None:
        self._refusals.pop(key, None)
        self._graphs.pop(key, None)
        self._metrics.forget(str(key))


def _patience(error: Exception) -> float:
    """Seconds until it is told: a store that does not answer may come back by itself."""
    return LASTING_SECONDS if isinstance(error, InfrastructureError) else REFUSED_SECONDS


def _log(key: RunKey, before: RunStatus, after: RunStatus) -> None:
    """One line a decision: what changed."""
    old = {row.key: row for iteration in before.iterations for row in iteration.steps}
    for iteration in after.iterations:
        for row in iteration.steps:
            known = old.get(row.key)
            if known is None or (known.state, known.attempt) != (row.state, row.attempt):
                logger.info(
                    "%s: %s is %s%s",
                    key,
                    row.key,
                    row.state,
                    f": {row.reason}: {row.message}" if row.reason else "",
                    extra={"run": str(key), "iteration": iteration.number, "step": row.key, "attempt": row.attempt},
                )
    if before.phase is not after.phase:
        logger.info("%s: %s", key, after.phase, extra={"run": str(key), "phase": str(after.phase)})
