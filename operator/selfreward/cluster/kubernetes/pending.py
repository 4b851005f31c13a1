"""Pending pods: why one does not run yet, in the user's words, and whether waiting alone will help.

A table from the kubelet's and the scheduler's reasons. What only a person can mend is an obstacle: the run is then
Stalled with that sentence, and goes on by itself once it is mended (the kubelet keeps trying).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from selfreward.api import Reason
from selfreward.cluster.kubernetes.pods import is_over, main_status, statuses
from selfreward.cluster.kubernetes.resources import View


@dataclass(frozen=True, slots=True)
class Pending:
    """Why one pod does not run yet, and since when."""

    reason: str
    message: str
    since: datetime
    obstacle: Reason | None = None
    """What kind of obstacle it is, if waiting alone will not help."""


_IMAGE: Final = "the image cannot be pulled (where the spec names none, it is the operator's default)"
_OBSTACLES: Final = {
    "ErrImagePull": (Reason.IMAGE_PULL_FAILED, _IMAGE),
    "ImagePullBackOff": (Reason.IMAGE_PULL_FAILED, _IMAGE),
    "ErrImageNeverPull": (Reason.IMAGE_PULL_FAILED, _IMAGE),
    "InvalidImageName": (Reason.IMAGE_PULL_FAILED, "the image's name is not one"),
    "CreateContainerConfigError": (Reason.SECRET_MISSING, "a Secret or ConfigMap it names is missing"),
    "CreateContainerError": (Reason.CANNOT_START, "the container cannot be created"),
    "RunContainerError": (Reason.CANNOT_START, "the container cannot be started"),
}
_QUIET: Final = {"ContainerCreating": "pulling its image, mounting its volumes", "PodInitializing": "starting"}


def pending_of(pods: Iterable[View]) -> Pending | None:
    """Why those of the pods that do not run yet wait: what somebody must mend comes first."""
    found = [reason for pod in pods if not is_over(pod) and (reason := _pod_pending(pod)) is not None]
    return min(found, key=lambda each: (each.obstacle is None, each.since), default=None)


def _pod_pending(pod: View) -> Pending | None:
    since = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    for condition in pod["status"].get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            message = f"no node fits its resources and placement: {condition.get('message', '')}"
            reason = str(condition.get("reason") or "Pending")
            return Pending(reason, message, since, Reason.UNSCHEDULABLE if reason == "Unschedulable" else None)
    for status in statuses(pod):
        waits = (status.get("state") or {}).get("waiting")
        if waits is None:
            continue
        reason, words = str(waits.get("reason") or "Waiting"), str(waits.get("message") or "")
        if reason in _OBSTACLES:
            obstacle, means = _OBSTACLES[reason]
            return Pending(reason, f"container {status['name']}: {means}: {words}".rstrip(": "), since, obstacle)
        if reason == "CrashLoopBackOff":
            return Pending(reason, f"container {status['name']} keeps ending: {words}", since)
        if status is main_status(pod) or reason not in _QUIET:
            return Pending(reason, _QUIET.get(reason, words or reason), since)
    if main_status(pod) is None:
        return Pending("Pending", "waits for a node", since)
    return None


def serving_words(pods: Sequence[View]) -> str:
    """What a server's pods do that do not answer yet."""
    waits = pending_of(pods)
    if waits is not None:
        fetching = any("running" in (each.get("state") or {}) for pod in pods for each in _init_statuses(pod))
        return "fetching the model" if fetching and waits.obstacle is None else f"{waits.reason}: {waits.message}"
    return "loading the model" if pods else "no pod yet"


def _init_statuses(pod: View) -> Sequence[View]:
    found: Sequence[View] = pod["status"].get("initContainerStatuses") or []
    return found
