"""Failures of pods: a table from what Kubernetes saw of a pod's end to who must act.

| what Kubernetes saw | class | because |
| --- | --- | --- |
| a result that says Permanent | Permanent | the step knows best, and exit codes get lost: torchrun turns 64 into 1 |
| DisruptionTarget, Evicted, NodeLost, … | Infrastructure | it was taken down, whatever the dying step said of it |
| a rank killed by a signal, as torchrun tells, the others stopped | as of that signal | only its launcher knows |
| any other result of a failure | its class | the step knows best |
| OOMKilled | Application | it would happen again for ever if it did not count |
| the container cannot be started | Permanent | no such program in the image |
| 64 / 69 / 143, 130 | Permanent / Infrastructure / Infrastructure | as the steps say it; stopped from outside |
| an ImportError as last words | Permanent | every attempt would meet it |
| anything else | Application | |

The local cluster has the same table for processes (:mod:`selfreward.cluster.local.failures`); which of several pods'
failures counts is decided in :mod:`selfreward.plan.failures`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from selfreward_steps.contract import ExitCode, FailureClass

from selfreward.cluster.kubernetes.pods import is_over, phase_of, result_of, shard_of, statuses, termination_message
from selfreward.cluster.kubernetes.resources import View, name_of
from selfreward.cluster.ranks import STOPPED, FallenRank, RankReader
from selfreward.cluster.spoken import kept_text
from selfreward.plan import Failure, of_last_words

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
_MAX_WORDS: Final = 500


def workload_failures(
    pods: Iterable[View], verdict: str, fallen: Callable[[View], FallenRank | None] = lambda _: None
) -> tuple[Failure, ...]:
    """The failures of a failed workload's pods, one for each pod that failed.

    `verdict` is the workload's own message; `fallen` the rank that a signal ended, as a pod's log tells. A workload
    that failed while none of its pods is to be seen has lost them: they were deleted, by a drain or by somebody.
    """
    failed = [pod for pod in pods if phase_of(pod) == "Failed"]
    if not failed:
        gone = f"its pods are gone: {verdict}".rstrip(": ")
        return (Failure(FailureClass.INFRASTRUCTURE, "PodsGone", gone),)
    if len(failed) == 1:
        return (pod_failure(failed[0], fallen(failed[0])),)
    return tuple(_of_shard(pod, pod_failure(pod, fallen(pod))) for pod in failed)


def _of_shard(pod: View, failure: Failure) -> Failure:
    """A step names what was wrong itself; of anything else the reader must hear which of the pods it was."""
    return failure if failure.reported else replace(failure, message=f"shard {shard_of(pod)}: {failure.message}")


def pod_failure(pod: View, fallen: FallenRank | None = None) -> Failure:
    """The failure of one pod whose phase is `Failed`.

    Where no rank has reported anything, the launcher's own words are the termination message.
    """
    reported, disruption = Failure.reported_by(result_of(pod)), _disruption(pod)
    if disruption is not None and (reported is None or reported.failure_class is not FailureClass.PERMANENT):
        return disruption
    if reported is None or reported.reason == STOPPED:
        fallen = fallen or RankReader(line.strip() for line in termination_message(pod).splitlines()).fallen
        if fallen is not None and fallen.failure is not None:
            return fallen.failure
    if reported is not None:
        return reported
    for status in statuses(pod):
        ended = (status.get("state") or {}).get("terminated")
        if ended is not None and ended.get("exitCode"):
            return container_failure(status["name"], ended)
    words = pod["status"].get("message") or termination_message(pod) or "ended without a word"
    return Failure(FailureClass.APPLICATION, pod["status"].get("reason") or "Failed", last_words(words))


def container_failure(name: str, ended: View) -> Failure:
    """The failure of a container, from its terminated state."""
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
        return Failure(FailureClass.INFRASTRUCTURE, STOPPED, f"container {name} was stopped from outside")
    match code:
        case ExitCode.CONFIGURATION:
            return Failure(FailureClass.PERMANENT, "ConfigurationError", words or f"container {name}: exit code 64")
        case ExitCode.UNAVAILABLE:
            return Failure(FailureClass.INFRASTRUCTURE, "Unavailable", words or f"container {name}: exit code 69")
        case _:
            failure = Failure(FailureClass.APPLICATION, "ExitCode", f"container {name}: exit code {code}{told}")
            return of_last_words(failure, words)


def last_words(text: Any) -> str:
    """The last line of a log's end that says something, cut to a sentence's length."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return kept_text(lines[-1])[:_MAX_WORDS] if lines else ""


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
