"""Events on the run, which `kubectl describe` shows. Posted as well as can be: a run never waits for one."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from selfreward.cluster.kubernetes.client import KubernetesClient
from selfreward.cluster.kubernetes.errors import KubernetesError
from selfreward.cluster.kubernetes.resources import EVENTS, RUNS, View, name_of, uid_of
from selfreward.plan import RunEvent

_COMPONENT: Final = "selfreward-operator"
_MAX_MESSAGE: Final = 1024
_NAME_LENGTH: Final = 40

logger = logging.getLogger(__name__)


class Events:
    """Posts what decisions tell as Events of Kubernetes."""

    def __init__(self, client: KubernetesClient, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now

    async def post(self, raw: View, events: Iterable[RunEvent]) -> None:
        """Post all events of one decision, in their order."""
        for event in events:
            try:
                await self._client.create(EVENTS, self._manifest(raw, event))
            except KubernetesError as error:
                logger.warning("event %s could not be posted: %s", event.reason, error)

    def _manifest(self, raw: View, event: RunEvent) -> View:
        metadata, at = raw["metadata"], self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{name_of(raw)[:_NAME_LENGTH].rstrip('-.')}.{uuid.uuid4().hex[:16]}",
                "namespace": metadata["namespace"],
            },
            "involvedObject": {
                "apiVersion": RUNS.api_version,
                "kind": RUNS.kind,
                "name": name_of(raw),
                "namespace": metadata["namespace"],
                "uid": uid_of(raw),
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
            "reason": str(event.reason),
            "message": event.message[:_MAX_MESSAGE],
            "type": "Warning" if event.warning else "Normal",
            "source": {"component": _COMPONENT},
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }
