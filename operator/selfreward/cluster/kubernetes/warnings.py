"""Warnings that Kubernetes posts as events: why a child has no pod, or its pod no volume.

Nothing else tells it: a Job or a training job whose pods are refused has no condition that says so. Events are asked
for only while a child waits, at most once a :data:`PERIOD`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from selfreward.cluster.kubernetes.client import KubernetesClient
from selfreward.cluster.kubernetes.errors import KubernetesError
from selfreward.cluster.kubernetes.resources import EVENTS, View, name_of, uid_of

PERIOD: Final = 10.0
"""Seconds between two looks, and from a child's creation to the first: most have their pods at once."""
NO_POD: Final = frozenset({"FailedCreate", "FailedCreatePod"})
"""Reasons of the controllers of Jobs, and of training-operator's."""
NO_VOLUME: Final = frozenset({"FailedMount", "FailedAttachVolume"})
"""Reasons of the kubelet."""
_POD: Final = re.compile(r'^(\(combined from similar events\): )?(Error creating: )?pods? "[^"]*" is ')
"""Each try has a pod's name of its own."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning about one object."""

    reason: str
    message: str
    since: datetime


class Warnings:
    """The newest warning about objects that wait, by uid."""

    def __init__(self, client: KubernetesClient, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now
        self._looked: dict[str, datetime] = {}
        self._found: dict[str, Warned] = {}

    async def read(self, namespace: str, waiting: Iterable[View]) -> None:
        """Bring up to date what is said of these objects of a namespace; quick when all were looked at lately."""
        due = [item for item in waiting if self._is_due(item)]
        if not due:
            return
        # Before the wait: a second look at the same run must not ask the same.
        self._looked |= dict.fromkeys(map(uid_of, due), self._now())
        try:
            listed = await self._client.list(EVENTS, namespace, fields="type=Warning")
        except KubernetesError as error:
            logger.debug("events of %s cannot be read: %s", namespace, error)
            return
        events = [event for event in listed.items if event["reason"] in NO_POD | NO_VOLUME]
        for item in due:
            self._note(item, [event for event in events if _is_about(event, item)])

    def of(self, item: View, reasons: Collection[str]) -> Warned | None:
        """The newest warning about the object, as of the last look, if it has one of these reasons."""
        found = self._found.get(uid_of(item))
        return found if found is not None and found.reason in reasons else None

    def keep(self, uids: Collection[str]) -> None:
        """Forget all objects but those with these uids."""
        self._looked = {uid: at for uid, at in self._looked.items() if uid in uids}
        self._found = {uid: warned for uid, warned in self._found.items() if uid in uids}

    def _is_due(self, item: View) -> bool:
        last = self._looked.get(uid_of(item), datetime.fromisoformat(item["metadata"]["creationTimestamp"]))
        return self._now() - last >= timedelta(seconds=PERIOD)

    def _note(self, item: View, told: Sequence[View]) -> None:
        self._found.pop(uid_of(item), None)
        if told:
            newest = max(told, key=_last)
            message = without_pod(str(newest.get("message") or ""))
            self._found[uid_of(item)] = Warned(str(newest["reason"]), message, min(map(_first, told)))


def without_pod(message: str) -> str:
    """A refusal's words without the name of the pod, which is another at each try: a status would change each time."""
    return _POD.sub("its pod is ", message.strip())


def _is_about(event: View, item: View) -> bool:
    """About the object, or about what its controller has made of it: the Job of a TrainJob bears its name."""
    about = event["involvedObject"]
    return about.get("uid") == uid_of(item) or str(about.get("name", "")).startswith(f"{name_of(item)}-")


def _first(event: View) -> datetime:
    return datetime.fromisoformat(event.get("firstTimestamp") or event["metadata"]["creationTimestamp"])


def _last(event: View) -> datetime:
    return datetime.fromisoformat(event.get("lastTimestamp") or event["metadata"]["creationTimestamp"])
