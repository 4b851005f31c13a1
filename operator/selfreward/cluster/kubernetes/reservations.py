"""Reservations of runs that queue as a whole, in Kueue: read at each look, for no watch is worth one object a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Final

from selfreward.api import SelfRewardRun
from selfreward.cluster.kubernetes.client import KubernetesClient
from selfreward.cluster.kubernetes.errors import Conflict, NotFound, Occupied, Refused
from selfreward.cluster.kubernetes.resources import Object, View, belongs, condition_of, is_going, uid_of
from selfreward.plan import Quota, QuotaAction, QuotaState
from selfreward.render.metadata import PRIORITY, reserves
from selfreward.render.reservation import (
    FLAVORS,
    PRIORITIES,
    RESERVATIONS,
    Flavors,
    on_flavors,
    reservation,
    reservation_name,
)

_PATIENCE: Final = "waits for quota in its queue"


class Reservations:
    """The reservations of all runs, and the nodes that theirs have given them."""

    def __init__(self, client: KubernetesClient, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now
        self._flavors: dict[str, tuple[View, Flavors]] = {}
        """By run: what was assigned, and what that is."""

    async def look(self, run: SelfRewardRun) -> Quota | None:
        """What the queue says of the run's reservation; None where it makes none."""
        if not reserves(run):
            return None
        found = await self._find(run)
        if found is None:
            return Quota(QuotaState.ABSENT)
        if not belongs(found, run.metadata.namespace, run.metadata.uid):
            message = f"Workload {reservation_name(run)} exists and belongs to another: delete it"
            raise Occupied(message, reason="NameTaken")
        quota = _quota(found)
        if quota.is_held:
            await self._learn(run, found)
        return quota

    async def act(self, run: SelfRewardRun, action: QuotaAction) -> None:
        """Carry out what was decided about the reservation."""
        if action is QuotaAction.RESERVE:
            await self._reserve(run)
            return
        found = await self._find(run)
        if found is None:
            return
        match action:
            case QuotaAction.RELEASE:
                namespace, name = run.metadata.namespace, reservation_name(run)
                await self._client.delete(RESERVATIONS, namespace, name, uid_of(found), "Background")
            case QuotaAction.CONFIRM:
                if _quota(found).state is QuotaState.ADMITTED:
                    await self._write(found, [("PodsReady", "True", "Started", "the run goes on")])
            case QuotaAction.YIELD:
                if _quota(found).state is QuotaState.LOST:
                    found["status"].pop("admission", None)
                    why = "nothing of the run is at work any more"
                    await self._write(found, [(kind, "False", "Pending", why) for kind in _HELD])

    def placed(self, run: SelfRewardRun) -> SelfRewardRun:
        """The run with its pods where the reserved nodes are."""
        known = self._flavors.get(run.metadata.uid)
        return run if known is None or not reserves(run) else on_flavors(run, known[1])

    def keep(self, run_uids: Collection[str]) -> None:
        """Forget what is remembered of other runs."""
        self._flavors = {uid: known for uid, known in self._flavors.items() if uid in run_uids}

    async def _find(self, run: SelfRewardRun) -> Object | None:
        try:
            return await self._client.get(RESERVATIONS, run.metadata.namespace, reservation_name(run))
        except NotFound:
            return None

    async def _reserve(self, run: SelfRewardRun) -> None:
        name, priority = run.metadata.labels.get(PRIORITY), None
        try:
            if name:
                found = await self._client.get(PRIORITIES, None, name)
                priority = int(found["value"])
            await self._client.create_if_absent(RESERVATIONS, reservation(run, priority))
        except NotFound as error:
            if not await self._client.serves(RESERVATIONS):
                lacks = f"the cluster does not serve {RESERVATIONS.api_version}: install Kueue 0.15 or newer"
                raise Refused(f"spec.reservation: {lacks}, or take it away") from error
            raise Refused(f"spec.reservation: no WorkloadPriorityClass {name}") from error

    async def _learn(self, run: SelfRewardRun, found: View) -> None:
        """Read the flavors that the queue has assigned, where they are not those of before."""
        assigned: Mapping[str, str] = {
            resource: flavor
            for part in (found["status"].get("admission") or {}).get("podSetAssignments") or []
            for resource, flavor in (part.get("flavors") or {}).items()
        }
        known = self._flavors.get(run.metadata.uid)
        if known is None or known[0] != assigned:
            read = {name: await self._flavor(name) for name in set(assigned.values())}
            flavors = {resource: read[name].get("spec") or {} for resource, name in assigned.items()}
            self._flavors[run.metadata.uid] = (assigned, flavors)

    async def _flavor(self, name: str) -> View:
        try:
            return await self._client.get(FLAVORS, None, name)
        except NotFound as error:
            message = f"spec.reservation: the queue gives it ResourceFlavor {name}, and there is none"
            raise Refused(message) from error

    async def _write(self, found: Object, told: list[tuple[str, str, str, str]]) -> None:
        """Write conditions; what the queue has written meanwhile is looked at first."""
        conditions: list[dict[str, Any]] = found["status"].setdefault("conditions", [])
        for kind, status, reason, message in told:
            old = next((each for each in conditions if each["type"] == kind), None)
            if old is not None:
                conditions.remove(old)
            changed = {"type": kind, "status": status, "reason": reason, "message": message}
            conditions.append(changed | {"lastTransitionTime": self._now().strftime("%Y-%m-%dT%H:%M:%SZ")})
        try:
            await self._client.replace(RESERVATIONS, found, "status")
        except Conflict:
            return


_HELD: Final = ("QuotaReserved", "Admitted")


def _quota(found: View) -> Quota:
    reserved = condition_of(found, "QuotaReserved") is not None
    evicted = condition_of(found, "Evicted")
    if is_going(found) or (evicted is not None and reserved):
        why = "it is being deleted" if evicted is None else f"{evicted.get('reason')}: {evicted.get('message')}"
        return Quota(QuotaState.LOST, f"the queue takes the reservation back: {why}")
    if condition_of(found, "Admitted") is None:
        return Quota(QuotaState.WAITING, _waits(found))
    return Quota(QuotaState.HELD if condition_of(found, "PodsReady") is not None else QuotaState.ADMITTED)


def _waits(found: View) -> str:
    if found["spec"].get("active") is False:
        return f"Workload {found['metadata']['name']} is not active"
    conditions = (found.get("status") or {}).get("conditions") or []
    told: View = next((each for each in conditions if each["type"] in _HELD), {})
    return f"{_PATIENCE}: {told['message']}" if told.get("message") else _PATIENCE
