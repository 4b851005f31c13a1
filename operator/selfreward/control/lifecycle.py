"""The life of a run outside its walk: tried again when asked, deleted after a while, deleted with all it made.

Everything here happens before or after the walk and never within it. The finalizer is the operator's own and is on a
run only while that run asks for its artifacts to be deleted with it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from selfreward.api import RETRY, RunStatus, SelfRewardRun, SelfRewardRunSpec
from selfreward.api.spec import ArtifactPolicy
from selfreward.cluster.kubernetes import KubernetesClient, KubernetesCluster, NotFound
from selfreward.cluster.kubernetes.resources import RUNS, View, uid_of
from selfreward.control.runs import FINALIZER, annotation, with_status
from selfreward.plan import build_graph, retry_failed

logger = logging.getLogger(__name__)


class Lifecycle:
    """Carries out what annotations, `spec.deletionPolicy` and `spec.ttlSecondsAfterFinished` ask of a run."""

    def __init__(self, client: KubernetesClient, cluster: KubernetesCluster, now: Callable[[], datetime]) -> None:
        self._client = client
        self._cluster = cluster
        self._now = now

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
        ends = status.finished_at + timedelta(seconds=spec.ttl_seconds_after_finished)
        return (ends - self._now()).total_seconds()

    async def delete(self, raw: View, run: SelfRewardRun) -> float | None:
        """A run that is being deleted: its children go with their owner, its artifacts only if it asked for that.

        Not before the last child is gone: a step that still runs would write into what is being removed. With
        the finalizer on the run, nobody but the operator removes its children.
        """
        if FINALIZER not in (raw["metadata"].get("finalizers") or []):
            return None
        if run.spec.deletion_policy.artifacts is ArtifactPolicy.DELETE:
            if await self._cluster.remove_children(run, build_graph(run.spec)):
                return 2.0
            await self._cluster.delete_artifacts(run)
            logger.info("%s/%s: artifacts deleted", run.metadata.namespace, run.metadata.name)
        await self._write_finalizers(raw, wanted=False)
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
