"""kstatus' rules for a resource of no kind that it knows: what Flux and `helm --wait` make of its status.

After cli-utils' `pkg/kstatus/status` (`generic.go`, `core.go`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """What is concluded."""

    TERMINATING = "Terminating"
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    CURRENT = "Current"


def computed(manifest: dict[str, Any]) -> Status:
    """The status of the resource: the first rule that applies."""
    metadata, status = manifest["metadata"], manifest.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return Status.TERMINATING
    observed = status.get("observedGeneration")
    if observed is not None and observed != metadata.get("generation"):
        return Status.IN_PROGRESS
    conditions = status.get("conditions") or []
    for condition in conditions:
        if condition["status"] == "True" and condition["type"] == "Reconciling":
            return Status.IN_PROGRESS
        if condition["status"] == "True" and condition["type"] == "Stalled":
            return Status.FAILED
    ready = next((each for each in conditions if each["type"] == "Ready"), None)
    return Status.CURRENT if ready is None or ready["status"] == "True" else Status.IN_PROGRESS
