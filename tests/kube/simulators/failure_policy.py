"""podFailurePolicy: the first rule that matches a failed pod says what its failure means.

Source: kubernetes.io, "Pod failure policy"; pkg/controller/job/pod_failure_policy.go.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from kube.storage import Object


class Action(StrEnum):
    """What a pod's failure does to its Job."""

    FAIL_JOB = "FailJob"
    FAIL_INDEX = "FailIndex"
    IGNORE = "Ignore"
    COUNT = "Count"


def action_for(job: Object, pod: Object) -> tuple[Action, str]:
    """The action, and for FailJob the condition's message."""
    for number, rule in enumerate((job["spec"].get("podFailurePolicy") or {}).get("rules") or []):
        if "onExitCodes" in rule:
            found = _by_exit_code(rule["onExitCodes"], pod)
        else:
            found = _by_condition(rule.get("onPodConditions") or [], pod)
        if found is not None:
            name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            return Action(rule["action"]), f"{found} for pod {name} matching {rule['action']} rule at index {number}"
    return Action.COUNT, ""


def _by_exit_code(wanted: dict[str, Any], pod: Object) -> str | None:
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        ended = container["state"].get("terminated")
        named = wanted.get("containerName") in (None, container["name"])
        # Code 0 is never looked at: another container's success says nothing.
        if ended is None or not named or ended["exitCode"] == 0:
            continue
        if (ended["exitCode"] in wanted["values"]) == (wanted["operator"] == "In"):
            return f"Container {container['name']} failed with exit code {ended['exitCode']}"
    return None


def _by_condition(patterns: list[dict[str, Any]], pod: Object) -> str | None:
    for pattern in patterns:
        for condition in pod.get("status", {}).get("conditions") or []:
            if condition["type"] == pattern["type"] and condition["status"] == pattern.get("status", "True"):
                return f"Pod has condition {condition['type']}"
    return None
