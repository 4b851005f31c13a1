"""The state of a pod: whether it lives, since when it runs, what its step reported.

Plain reading of a pod's status; what a failure means is in :mod:`.failures`, why one is pending in :mod:`.pending`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from selfreward_steps.contract import StepResult

from selfreward.cluster.kubernetes.resources import View, number_of
from selfreward.cluster.spoken import result_in

INDEX: Final = "batch.kubernetes.io/job-completion-index"


def phase_of(pod: View) -> str:
    """The pod's phase: Pending, Running, Succeeded or Failed."""
    return str(pod["status"].get("phase") or "Pending")


def is_over(pod: View) -> bool:
    """Whether its containers have ended; it holds no GPU then."""
    return phase_of(pod) in ("Succeeded", "Failed")


def is_ready(pod: View) -> bool:
    """Whether the pod says that it is ready for requests."""
    conditions = pod["status"].get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def shard_of(pod: View) -> int:
    """Its index in an Indexed Job; 0 in all others."""
    return number_of(str((pod["metadata"].get("annotations") or {}).get(INDEX, "0")))


def main_container(pod: View) -> str:
    """Name of the container that does the work."""
    return str(pod["spec"]["containers"][0]["name"])


def statuses(pod: View) -> Iterator[View]:
    """Statuses of its containers, those that run first first."""
    yield from pod["status"].get("initContainerStatuses") or []
    yield from pod["status"].get("containerStatuses") or []


def main_status(pod: View) -> View | None:
    """Status of the container that does the work; None before the kubelet knows of it."""
    name = main_container(pod)
    found = (each for each in pod["status"].get("containerStatuses") or [] if each["name"] == name)
    return next(found, None)


def running_since(pod: View) -> datetime | None:
    """When its container started, also of one that has ended."""
    status = main_status(pod)
    if status is None:
        return None
    state = status.get("state") or {}
    started = (state.get("running") or state.get("terminated") or {}).get("startedAt")
    return None if started is None else datetime.fromisoformat(started)


def termination_message(pod: View) -> str:
    """The last word of its container; of one that was started again, its predecessor's."""
    status = main_status(pod)
    if status is None:
        return ""
    for state in (status.get("state") or {}, status.get("lastState") or {}):
        if "terminated" in state:
            return str(state["terminated"].get("message") or "")
    return ""


def result_of(pod: View) -> StepResult | None:
    """What the step reported. With no message written, Kubernetes gives the end of the log instead, whose last line
    is the same result."""
    text = termination_message(pod)
    for candidate in (text, text.rstrip().rpartition("\n")[2]):
        if (result := result_in(candidate)) is not None:
            return result
    return None
