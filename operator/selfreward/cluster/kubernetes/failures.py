"""Why a pod failed, and who must act: a table from what Kubernetes saw to a failure.

| what Kubernetes saw | class | because |
| --- | --- | --- |
| DisruptionTarget, Evicted, NodeLost, Shutdown, … | Infrastructure | the node or the scheduler took it down |
| a result with a class | that class | the step knows best |
| OOMKilled | Application | it would happen again for ever if it did not count |
| the container cannot be started | Permanent | no such program in the image |
| 64 / 69 / 143, 130 | Permanent / Infrastructure / Infrastructure | as the steps say it; stopped from outside |
| anything else | Application | |

The local cluster has the same table for processes (:mod:`selfreward.cluster.local.failures`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from selfreward_steps.contract import ExitCode, FailureClass

from selfreward.cluster.kubernetes.pods import is_over, phase_of, result_of, shard_of, statuses, termination_message
from selfreward.cluster.kubernetes.resources import View, name_of
from selfreward.plan import Failure

_DISRUPTED: Final = frozenset(
    {
        "Evicted",
        "NodeLost",
        "NodeShutdown",
        "NodeAffinity",
        "Preempting",
        "Shutdown",
        "Terminated",
        "UnexpectedAdmissionError",
        "OutOfcpu",
        "OutOfmemory",
        "OutOfpods",
        "OutOfnvidia.com/gpu",
    }
)
"""Pod reasons of the kubelet and the node controllers (pkg/kubelet/lifecycle, pkg/kubelet/nodeshutdown)."""
_CANNOT_START: Final = frozenset({"ContainerCannotRun", "StartError"})
_STOPPED: Final = frozenset({130, 143})
_SEVERITY: Final = (FailureClass.PERMANENT, FailureClass.APPLICATION, FailureClass.INFRASTRUCTURE)
_MAX_WORDS: Final = 500


def workload_failure(pods: Iterable[View], verdict: str) -> Failure:
    """Why a failed workload failed: of its pods' failures the one that somebody must act on most.

    `verdict` is the workload's own message. A workload that failed while none of its pods is to be seen has lost
    them: they were deleted, by a drain or by somebody.
    """
    failed = [pod for pod in pods if phase_of(pod) == "Failed"]
    found = [(pod, pod_failure(pod)) for pod in failed]
    if not found:
        return Failure(FailureClass.INFRASTRUCTURE, "PodsGone", f"its pods are gone: {verdict}".rstrip(": "))
    pod, failure = min(found, key=lambda each: _SEVERITY.index(each[1].failure_class))
    if len(found) == 1:
        return failure
    return Failure(failure.failure_class, failure.reason, f"shard {shard_of(pod)}: {failure.message}")


def pod_failure(pod: View) -> Failure:
    """Why this pod, which failed, did."""
    disruption = _disruption(pod)
    if disruption is not None:
        return disruption
    result = result_of(pod)
    if result is not None and not result.succeeded and result.failure_class is not None:
        return Failure(result.failure_class, result.reason, result.message)
    for status in statuses(pod):
        ended = (status.get("state") or {}).get("terminated")
        if ended is not None and ended.get("exitCode"):
            return container_failure(status["name"], ended)
    words = pod["status"].get("message") or termination_message(pod) or "ended without a word"
    return Failure(FailureClass.APPLICATION, pod["status"].get("reason") or "Failed", last_words(words))


def container_failure(name: str, ended: View) -> Failure:
    """Why a container failed, from its terminated state."""
    code, reason = int(ended["exitCode"]), str(ended.get("reason") or "")
    words = last_words(ended.get("message") or "")
    told = f": {words}" if words else ""
    if reason == "OOMKilled":
        message = f"container {name} ran out of memory: raise its memory limit under spec.workloads{told}"
        return Failure(FailureClass.APPLICATION, "OOMKilled", message)
    if reason in _CANNOT_START:
        message = f"container {name} cannot be started (is spec.workloads' image the right one?){told}"
        return Failure(FailureClass.PERMANENT, "ContainerCannotRun", message)
    if code in _STOPPED:
        return Failure(FailureClass.INFRASTRUCTURE, "Stopped", f"container {name} was stopped from outside")
    match code:
        case ExitCode.CONFIGURATION:
            return Failure(FailureClass.PERMANENT, "ConfigurationError", words or f"container {name}: exit code 64")
        case ExitCode.UNAVAILABLE:
            return Failure(FailureClass.INFRASTRUCTURE, "Unavailable", words or f"container {name}: exit code 69")
        case _:
            return Failure(FailureClass.APPLICATION, "ExitCode", f"container {name}: exit code {code}{told}")


def last_words(text: Any) -> str:
    """The last line of a log's end that says something, cut to a sentence's length."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return lines[-1][:_MAX_WORDS] if lines else ""


def _disruption(pod: View) -> Failure | None:
    status = pod["status"]
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    for condition in status.get("conditions") or []:
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            told = condition.get("message") or message or f"pod {name_of(pod)} was disrupted"
            return Failure(FailureClass.INFRASTRUCTURE, reason or condition.get("reason") or "Disrupted", str(told))
    if reason in _DISRUPTED and is_over(pod):
        return Failure(FailureClass.INFRASTRUCTURE, reason, message or f"pod {name_of(pod)}: {reason}")
    return None
