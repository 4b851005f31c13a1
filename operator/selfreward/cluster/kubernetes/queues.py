"""A child in a queue before the cluster (Kueue): whether it is held back, and since when it is not. Pure.

Jobs and training jobs are held by `suspend`; the pods of a Deployment, each by itself, by a scheduling gate. Waiting
in a queue is no fault, so no deadline counts meanwhile. Kueue itself is asked nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from selfreward.cluster.kubernetes.resources import View, condition_of, label_of
from selfreward.render.metadata import QUEUE


def is_queued(workload: View, pods: Sequence[View]) -> bool:
    """Whether nothing of the child may run yet. Let go, it says `Suspended` until its controller has seen that."""
    if not label_of(workload, QUEUE):
        return False
    is_held = bool(workload["spec"].get("suspend")) or condition_of(workload, "Suspended") is not None
    return is_held or (bool(pods) and all(_is_gated(pod) for pod in pods))


def admitted_at(workload: View, pods: Sequence[View]) -> datetime | None:
    """When the queue let the child go, the last time if it has more than once."""
    if not label_of(workload, QUEUE):
        return None
    moments = [_changed_at(workload, "Suspended", "False"), *(_changed_at(pod, "PodScheduled", "True") for pod in pods)]
    return max((datetime.fromisoformat(moment) for moment in moments if moment is not None), default=None)


def _is_gated(pod: View) -> bool:
    return any(each.get("reason") == "SchedulingGated" for each in pod["status"].get("conditions") or [])


def _changed_at(item: View, kind: str, status: str) -> str | None:
    """Since when the condition has that status; None when it has another."""
    conditions = (item.get("status") or {}).get("conditions") or []
    found = (each for each in conditions if each["type"] == kind and each["status"] == status)
    return next((each.get("lastTransitionTime") for each in found), None)
