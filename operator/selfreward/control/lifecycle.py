"""The life of a run outside its walk: tried again when asked, deleted after a while, deleted with all it made.

Everything here happens before or after the walk and never within it. The finalizer is the operator's own and is on a
run only while that run asks for its artifacts to be deleted with it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from selfreward_steps.errors import InfrastructureError, PermanentError
from selfreward_steps.store import StoreReason

from selfreward.api import RETRY, Reason, RunStatus, SelfRewardRun, SelfRewardRunSpec
from selfreward.api.spec import ArtifactPolicy
from selfreward.cluster.kubernetes import KubernetesClient, KubernetesCluster, NotFound
from selfreward.cluster.kubernetes.resources import RUNS, View, uid_of
from selfreward.control.runs import (
    FINALIZER,
    UnreadableRun,
    annotation,
    deletes_artifacts,
    has_begun,
    parse_store,
    with_status,
)
from selfreward.control.storage import StoragePolicy
from selfreward.plan import Obstacle, RunEvent, retry_failed
from selfreward.plan.moments import later
from selfreward.plan.types import EventReason

logger = logging.getLogger(__name__)


_AGAIN: Final = 60.0
"""Seconds between two tries to delete what could not be deleted."""
OUT_OF_REACH: Final = timedelta(days=1)
"""How long a run that is deleted waits for a store that does not answer; then it goes, and its artifacts stay."""
REFUSED: Final = timedelta(hours=1)
"""The same for a store that refuses, or an address that leads nowhere: somebody must act."""


@dataclass(frozen=True, slots=True)
class Going:
    """How far the deletion of a run is."""

    wait: float | None = None
    """Seconds until it is looked at again; None when it needs nothing more."""
    obstacle: Obstacle | None = None
    """What is in its way."""
    events: tuple[RunEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class _Kept:
    """Artifacts that cannot be deleted, and until when that is tried."""

    why: str
    until: datetime


class Lifecycle:
    """Carries out what annotations, `spec.deletionPolicy` and `spec.ttlSecondsAfterFinished` ask of a run."""

    def __init__(
        self,
        client: KubernetesClient,
        cluster: KubernetesCluster,
        now: Callable[[], datetime],
        storage: StoragePolicy,
    ) -> None:
        self._client = client
        self._cluster = cluster
        self._now = now
        self._storage = storage

    async def settle(self, raw: View, run: SelfRewardRun) -> float | None:
        """Do what must be done before the walk; returns when to look again if that changed the run, else None."""
        namespace, name = run.metadata.namespace, run.metadata.name
        wants = run.spec.deletion_policy.artifacts is ArtifactPolicy.DELETE
        has = FINALIZER in (raw["metadata"].get("finalizers") or [])
        if wants != has:
            await self._write_finalizers(raw, wanted=wants)
            return 0
        if annotation(raw, RETRY):
            status = retry_failed(run.status, self._now())
            if status is not run.status:
                raw = await self._client.replace(RUNS, with_status(raw, status), "status")
            # After the status: whoever dies between the two only finds nothing left to retry.
            version = raw["metadata"]["resourceVersion"]
            patch = {"metadata": {"annotations": {RETRY: None}, "resourceVersion": version}}
            await self._client.merge(RUNS, namespace, name, patch)
            return 0
        left = self.ttl_left(run.spec, run.status)
        if left is not None and left <= 0:
            logger.info("%s/%s: deleted: spec.ttlSecondsAfterFinished", namespace, name)
            with contextlib.suppress(NotFound):
                await self._client.delete(RUNS, namespace, name, uid_of(raw), "Background")
            return 0
        return None

    def ttl_left(self, spec: SelfRewardRunSpec, status: RunStatus) -> float | None:
        """Seconds until a finished run is deleted; None when it never is."""
        if spec.ttl_seconds_after_finished is None or status.finished_at is None:
            return None
        ends = later(status.finished_at, spec.ttl_seconds_after_finished)
        return (ends - self._now()).total_seconds()

    async def delete(self, raw: View) -> Going:
        """A run that is being deleted: its children go with their owner, its artifacts only if it asked for that.

        Not before the last child is gone: a step that still runs would write into what is being removed. With
        the finalizer on the run, nobody but the operator removes its children. Of the spec only what deleting needs
        is read, so that no mistake in it keeps a run, its pods and their GPUs for ever.
        """
        metadata = raw["metadata"]
        if FINALIZER not in (metadata.get("finalizers") or []):
            return Going()
        events: tuple[RunEvent, ...] = ()
        if deletes_artifacts(raw):
            if await self._cluster.remove_children(metadata["namespace"], uid_of(raw)):
                return Going(wait=2.0)
            if (kept := await self._delete_artifacts(raw)) is not None:
                now = self._now()
                if now < kept.until:
                    until = f"{kept.until:%F %R} UTC"
                    message = f"artifacts cannot be deleted, and stay if that is still so at {until}: {kept.why}"
                    wait = min(_AGAIN, (kept.until - now).total_seconds())
                    return Going(wait, Obstacle(Reason.STORAGE_REFUSED, message, now))
                events = (RunEvent(EventReason.ARTIFACTS_LEFT, kept.why, warning=True),)
        await self._write_finalizers(raw, wanted=False)
        return Going(events=events)

    async def let_go(self, raw: View) -> None:
        """Hold up no deletion of a run that is another controller's, with its children and artifacts."""
        metadata = raw["metadata"]
        if metadata.get("deletionTimestamp") is not None and FINALIZER in (metadata.get("finalizers") or []):
            await self._write_finalizers(raw, wanted=False)

    async def _delete_artifacts(self, raw: View) -> _Kept | None:
        """Delete the run's artifacts; what is in the way of that, if anything is."""
        if not has_begun(raw):
            return None
        try:
            await self._cluster.delete_artifacts(parse_store(raw, self._storage))
        except InfrastructureError as error:
            return _Kept(str(error), _deleted_at(raw) + OUT_OF_REACH)
        except (PermanentError, UnreadableRun) as error:
            if isinstance(error, PermanentError) and error.reason == StoreReason.BUCKET_NOT_FOUND:
                return None
            return _Kept(str(error), _deleted_at(raw) + REFUSED)
        logger.info("%s/%s: artifacts deleted", raw["metadata"]["namespace"], raw["metadata"]["name"])
        return None

    async def _write_finalizers(self, raw: View, *, wanted: bool) -> None:
        """Ours and nobody else's; the whole list is written, so the version must be the one that was read."""
        metadata = raw["metadata"]
        others = [each for each in metadata.get("finalizers") or [] if each != FINALIZER]
        patch = {
            "metadata": {
                "finalizers": [*others, *([FINALIZER] if wanted else [])],
                "resourceVersion": metadata["resourceVersion"],
            }
        }
        await self._client.merge(RUNS, metadata["namespace"], metadata["name"], patch)


def _deleted_at(raw: View) -> datetime:
    return datetime.fromisoformat(raw["metadata"]["deletionTimestamp"])
