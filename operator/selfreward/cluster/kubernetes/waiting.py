"""Why a pod does not run yet, in the user's words, and whether waiting alone will help.

A table from the kubelet's and the scheduler's reasons. What only a person can mend is `stuck`: the run is then
Stalled with that sentence, and goes on by itself once it is mended (the kubelet keeps trying).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from selfreward.cluster.kubernetes.pods import is_over, main_status, statuses
from selfreward.cluster.kubernetes.resources import View


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a pod waits."""

    reason: str
    message: str
    since: datetime
    stuck: bool = False
    """Whether somebody must act."""


_IMAGE: Final = "the image cannot be pulled (spec.workloads, or the operator's default images)"
_STUCK: Final = {
    "ErrImagePull": _IMAGE,
    "ImagePullBackOff": _IMAGE,
    "ErrImageNeverPull": _IMAGE,
    "InvalidImageName": "the image's name is not one (spec.workloads)",
    "CreateContainerConfigError": "a Secret or ConfigMap it names is missing",
    "CreateContainerError": "the container cannot be created",
    "RunContainerError": "the container cannot be started",
}
_QUIET: Final = {"ContainerCreating": "pulling its image, mounting its volumes", "PodInitializing": "starting"}


def waiting_of(pods: Iterable[View]) -> Waiting | None:
    """Why those of the pods that do not run yet wait: what somebody must mend comes first."""
    found = [reason for pod in pods if not is_over(pod) and (reason := _pod_waiting(pod)) is not None]
    return min(found, key=lambda each: (not each.stuck, each.since), default=None)


def _pod_waiting(pod: View) -> Waiting | None:
    since = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    for condition in pod["status"].get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            message = f"no node fits (resources and placement in spec.workloads): {condition.get('message', '')}"
            unschedulable = condition.get("reason") == "Unschedulable"
            return Waiting(str(condition.get("reason") or "Pending"), message, since, unschedulable)
    for status in statuses(pod):
        waits = (status.get("state") or {}).get("waiting")
        if waits is None:
            continue
        reason, words = str(waits.get("reason") or "Waiting"), str(waits.get("message") or "")
        if reason in _STUCK:
            return Waiting(reason, f"container {status['name']}: {_STUCK[reason]}: {words}".rstrip(": "), since, True)
        if reason == "CrashLoopBackOff":
            return Waiting(reason, f"container {status['name']} keeps ending: {words}", since)
        if status is main_status(pod) or reason not in _QUIET:
            return Waiting(reason, _QUIET.get(reason, words or reason), since)
    if main_status(pod) is None:
        return Waiting("Pending", "waits for a node", since)
    return None


def serving_words(pods: Sequence[View]) -> str:
    """What a server's pods do that do not answer yet."""
    waits = waiting_of(pods)
    if waits is not None:
        fetching = any("running" in (each.get("state") or {}) for pod in pods for each in _init_statuses(pod))
        return "fetching the model" if fetching and not waits.stuck else f"{waits.reason}: {waits.message}"
    return "loading the model" if pods else "no pod yet"


def _init_statuses(pod: View) -> Sequence[View]:
    found: Sequence[View] = pod["status"].get("initContainerStatuses") or []
    return found
