"""Conditions of workloads, in the two dialects there are."""

from __future__ import annotations

from typing import Any

from kube.storage import Object


def is_true(item: Object, type_: str) -> bool:
    """Whether the condition stands at True."""
    conditions = item.get("status", {}).get("conditions") or []
    return any(each["type"] == type_ and each["status"] == "True" for each in conditions)


def set_condition(
    item: Object, type_: str, status: str, reason: str, message: str, now: str, *, seen: str = "lastProbeTime"
) -> None:
    """Set one in place, as batch/v1 and (with `seen="lastUpdateTime"`) apps/v1 and kubeflow.org/v1 write them."""
    conditions: list[dict[str, Any]] = item.setdefault("status", {}).setdefault("conditions", [])
    old = next((each for each in conditions if each["type"] == type_), None)
    if old is not None and (old["status"], old["reason"], old["message"]) == (status, reason, message):
        return
    moved = now if old is None or old["status"] != status else old["lastTransitionTime"]
    condition = {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        seen: now,
        "lastTransitionTime": moved,
    }
    # Appended, not replaced in place: the training operator's "State" column shows the last one.
    conditions[:] = [each for each in conditions if each["type"] != type_] + [condition]
