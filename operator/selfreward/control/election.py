"""The election of a leader among several replicas: a Lease, renewed by whoever leads (as controller-runtime does).

It saves work, no more. A process that wakes up late writes nothing before it has renewed, but what it had sent may
still arrive; what keeps two leaders from doing harm is in the data path: status writes carry a resourceVersion, names
of children are deterministic, commits are put-if-absent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from selfreward.cluster.kubernetes import Conflict, KubernetesClient, KubernetesError, NotFound
from selfreward.cluster.kubernetes.resources import LEASES, Object

LEASE_SECONDS: Final = 15
RENEW_SECONDS: Final = 10.0
"""A leader that could not renew for this long stops leading; less than the lease, so that it stops first."""
RETRY_SECONDS: Final = 2.0
REQUEST_SECONDS: Final = 4.0
"""The client's timeout, of each request. One that nobody answers, such as on a connection that was cut off silently on
its way, must leave a leader time for another try, which goes over another connection."""
_GRAIN: Final = 0.01
"""Seconds by which a timer may ring too early."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Sighting:
    """The lease as last seen. Its own times are another machine's clock: only how long it has not changed, by this
    process's clock, tells whether its holder lives."""

    mark: tuple[str, str]
    runs_out: float


class Election:
    """One replica's part in the election: win the Lease, keep it, resign it."""

    def __init__(
        self, client: KubernetesClient, namespace: str, name: str, identity: str, now: Callable[[], datetime]
    ) -> None:
        """`client`: with a timeout of :data:`REQUEST_SECONDS`."""
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._now = now
        self._seen: _Sighting | None = None
        self._held_until = float("-inf")

    def holds(self) -> bool:
        """Whether the lease was renewed so lately that nobody else can have it; asked before each write."""
        return _seconds() < self._held_until

    async def win(self) -> None:
        """Wait until this replica leads."""
        began = _seconds()
        while not await self._try():
            left = 0.0 if self._seen is None else self._seen.runs_out - _seconds()
            rest = _rest(began)
            # The lease of a leader that died is taken as soon as it runs out.
            await asyncio.sleep(min(rest, left + _GRAIN) if left > 0 else rest)
            began = _seconds()
        logger.info("%s leads", self._identity)

    async def keep(self) -> None:
        """Renew for as long as that works; returns when it does not any more, and then nobody may act."""
        began = _seconds()
        while self.holds():
            await asyncio.sleep(_rest(began))
            began = _seconds()
            try:
                # Both requests of a try may take their whole time, which is longer than a leader may wait.
                if not await asyncio.wait_for(self._try(), max(self._held_until - began, 0.1)) and self._is_anothers():
                    break
            except TimeoutError:
                break
        self._held_until = float("-inf")
        logger.error("%s leads no more", self._identity)

    async def resign(self) -> None:
        """Give the lease up at once, so that the next leader need not wait for it to run out."""
        self._held_until = float("-inf")
        try:
            lease = await self._client.get(LEASES, self._namespace, self._name)
            if lease["spec"].get("holderIdentity") == self._identity:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._client.replace(LEASES, lease)
        except KubernetesError as error:
            logger.info("the lease could not be given up, it will run out: %s", error)

    async def _try(self) -> bool:
        """Take or renew the lease if that is possible; returns whether this replica holds it now."""
        # Counted from before the request: when the lease was written is not known.
        began = _seconds()
        if held := await self._take():
            self._held_until = began + RENEW_SECONDS
        return held

    async def _take(self) -> bool:
        try:
            lease = await self._client.get(LEASES, self._namespace, self._name)
        except NotFound:
            return await self._write(None)
        except KubernetesError as error:
            logger.warning("the lease cannot be read: %s", error)
            return False
        self._sight(lease)
        holder = lease["spec"].get("holderIdentity") or ""
        if holder not in ("", self._identity) and not self._has_run_out():
            return False
        return await self._write(lease)

    async def _write(self, lease: Object | None) -> bool:
        spec: dict[str, Any] = {} if lease is None else dict(lease["spec"])
        stamp = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if spec.get("holderIdentity") != self._identity:
            spec["acquireTime"] = stamp
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (lease is not None)
        spec |= {"holderIdentity": self._identity, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": stamp}
        try:
            if lease is None:
                written = await self._client.create(LEASES, self._manifest(spec))
            else:
                written = await self._client.replace(LEASES, {**lease, "spec": spec})
        except Conflict:
            return False
        except KubernetesError as error:
            logger.warning("the lease cannot be written: %s", error)
            return False
        self._sight(written)
        return True

    def _sight(self, lease: Object) -> None:
        mark = (str(lease["spec"].get("holderIdentity")), str(lease["spec"].get("renewTime")))
        if self._seen is None or self._seen.mark != mark:
            lasts = float(lease["spec"].get("leaseDurationSeconds") or LEASE_SECONDS)
            self._seen = _Sighting(mark, _seconds() + lasts)

    def _has_run_out(self) -> bool:
        return self._seen is not None and _seconds() >= self._seen.runs_out

    def _is_anothers(self) -> bool:
        return self._seen is not None and self._seen.mark[0] not in ("", self._identity)

    def _manifest(self, spec: dict[str, Any]) -> Object:
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": spec,
        }


def _rest(began: float) -> float:
    """Seconds from now to the next try: one that took long is followed by another at once."""
    return max(0.0, began + RETRY_SECONDS - _seconds())


def _seconds() -> float:
    return asyncio.get_running_loop().time()
