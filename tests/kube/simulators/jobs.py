"""The Job controller: indexes, parallelism, failure policies, back-off, suspension, deadline and ttl.

Source: kubernetes.io, "Jobs"; pkg/controller/job/{job_controller,pod_failure_policy,indexed_job_utils}.go. Pods
carry the tracking finalizer, so that a pod deleted under the controller's eyes is still counted.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from kube.clock import parse
from kube.controllers import Controller
from kube.deleting import DeleteOptions
from kube.kinds import JOB, POD, Propagation
from kube.simulators import pods
from kube.simulators.conditions import is_true, set_condition
from kube.simulators.failure_policy import Action, action_for
from kube.storage import Change, Object, key_of

TRACKING: Final = "batch.kubernetes.io/job-tracking"
INDEX: Final = "batch.kubernetes.io/job-completion-index"
BACK_OFF: Final = (10.0, 600.0)
Address = tuple[str, str]


@dataclass
class _Tally:
    """What a Job's pods have come to, by uid, so that each counts once."""

    counted: set[str] = field(default_factory=set)
    succeeded: int = 0
    failed: int = 0
    done: set[int] = field(default_factory=set)
    failures: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Counted failures by index; of a Job without indexes under 0."""
    failed_indexes: set[int] = field(default_factory=set)
    retry_at: dict[int, float] = field(default_factory=dict)
    verdict: tuple[str, str] | None = None
    """Reason and message, once the Job must fail."""


class JobController(Controller[Address]):
    """Runs Jobs."""

    delay = 0.1

    def __init__(self, machinery: Any) -> None:
        super().__init__(machinery)
        self._tallies: dict[str, _Tally] = defaultdict(_Tally)

    def observe(self, change: Change) -> None:
        if change.kind is JOB:
            self.enqueue(key_of(change.object))
        elif change.kind is POD:
            key = pods.owner_key(change.object, JOB)
            if key is not None:
                self.enqueue(key)

    def reconcile(self, key: Address) -> None:
        job = self.storage.get(JOB, *key)
        if job is None or pods.is_going(job):
            self._release(key)
            return
        tally = self._tallies[job["metadata"]["uid"]]
        children = pods.pods_of(self, job)
        over = is_true(job, "Complete") or is_true(job, "Failed")
        if not over:
            self._count(job, tally, children)
            over = self._judge(job, tally, children)
        children = pods.pods_of(self, job)
        for pod in children:
            if pods.is_over(pod):
                pods.drop_finalizer(self, pod, TRACKING)
        if over or job["spec"].get("suspend"):
            self._stop(children)
        else:
            self._create(job, tally, children)
        self._write(job, tally, pods.pods_of(self, job))
        if over:
            self._expire(job)

    def _release(self, key: Address) -> None:
        """Pods of a Job that is going must not be held by its finalizer."""
        for pod in list(self.storage.peek(POD, key[0])):
            live = self.storage.get(POD, *key_of(pod))
            labels = pod["metadata"].get("labels") or {}
            if live is not None and labels.get("batch.kubernetes.io/job-name") == key[1]:
                pods.drop_finalizer(self, live, TRACKING)

    def _count(self, job: Object, tally: _Tally, children: list[Object]) -> None:
        for pod in children:
            uid = pod["metadata"]["uid"]
            if uid in tally.counted or not pods.is_over(pod):
                continue
            tally.counted.add(uid)
            index = _index(pod) or 0
            if pods.phase(pod) == "Succeeded":
                tally.succeeded += 1
                tally.done.add(index)
            else:
                self._count_failure(job, tally, pod, index)

    def _count_failure(self, job: Object, tally: _Tally, pod: Object, index: int) -> None:
        tally.failed += 1
        action, message = action_for(job, pod)
        match action:
            case Action.FAIL_JOB:
                tally.verdict = ("PodFailurePolicy", message)
            case Action.FAIL_INDEX:
                tally.failed_indexes.add(index)
            case Action.IGNORE:
                tally.failed -= 1
            case Action.COUNT:
                tally.failures[index] += 1
                first, longest = BACK_OFF
                pause = min(first * 2 ** (tally.failures[index] - 1), longest)
                tally.retry_at[index] = self.clock.seconds + pause
                per_index = job["spec"].get("backoffLimitPerIndex")
                if per_index is not None and tally.failures[index] > per_index:
                    tally.failed_indexes.add(index)

    def _judge(self, job: Object, tally: _Tally, children: list[Object]) -> bool:
        """Set the final conditions when there is a verdict and nothing runs; whether the Job is being ended."""
        spec = job["spec"]
        completions = spec.get("completions", 1)
        verdict = tally.verdict or self._failure(job, tally, completions)
        succeeded = len(tally.done) if _is_indexed(job) else tally.succeeded
        if verdict is None and succeeded < completions:
            return False
        tally.verdict = verdict
        early, final = ("FailureTarget", "Failed") if verdict else ("SuccessCriteriaMet", "Complete")
        reason, message = verdict or ("CompletionsReached", "Reached expected number of succeeded pods")
        set_condition(job, early, "True", reason, message, self.clock.stamp())
        if all(pods.is_over(pod) for pod in children):
            set_condition(job, final, "True", reason, message, self.clock.stamp())
            if final == "Complete":
                job["status"]["completionTime"] = self.clock.stamp()
        return True

    def _failure(self, job: Object, tally: _Tally, completions: int) -> tuple[str, str] | None:
        spec = job["spec"]
        deadline, started = spec.get("activeDeadlineSeconds"), job.get("status", {}).get("startTime")
        if deadline is not None and started is not None and not spec.get("suspend"):
            left = parse(started) + timedelta(seconds=deadline) - self.clock.now()
            if left <= timedelta(0):
                return "DeadlineExceeded", "Job was active longer than specified deadline"
            self.enqueue(key_of(job), left.total_seconds() + 0.1)
        if "backoffLimitPerIndex" in spec:
            limit = spec.get("maxFailedIndexes")
            if limit is not None and len(tally.failed_indexes) > limit:
                return "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"
            if tally.failed_indexes and len(tally.failed_indexes | tally.done) >= completions:
                return "FailedIndexes", "Job has failed indexes"
        elif sum(tally.failures.values()) > spec["backoffLimit"]:
            return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        return None

    def _create(self, job: Object, tally: _Tally, children: list[Object]) -> None:
        spec, indexed = job["spec"], _is_indexed(job)
        completions = spec.get("completions", 1)
        replaces_early = spec["podReplacementPolicy"] != "Failed"
        active = [pod for pod in children if not pods.is_over(pod) and not (replaces_early and pods.is_going(pod))]
        room = spec["parallelism"] - len(active)
        taken = {_index(pod) for pod in active}
        if indexed:
            wanted = [n for n in range(completions) if n not in tally.done | tally.failed_indexes and n not in taken]
        else:
            wanted = [0] * (completions - tally.succeeded - len(active))
        for index in wanted[: max(room, 0)]:
            wait = tally.retry_at.get(index, 0) - self.clock.seconds
            if wait > 0:
                self.enqueue(key_of(job), wait)
            else:
                self._create_pod(job, index if indexed else None, tally)

    def _create_pod(self, job: Object, index: int | None, tally: _Tally) -> None:
        name = job["metadata"]["name"]
        stem = name if index is None else f"{name}-{index}"
        indexed = {} if index is None else {INDEX: str(index)}
        pod = pods.pod_from(
            job["spec"]["template"],
            pods.owner_reference(JOB, job),
            f"{stem}-{self.identities.suffix()}",
            labels=indexed,
            annotations=indexed,
            env={} if index is None else {"JOB_COMPLETION_INDEX": str(index)},
            finalizers=(TRACKING,),
        )
        if pods.create_pod(self, JOB, job, pod):
            self.enqueue(key_of(job), pods.REFUSED_AGAIN)

    def _stop(self, children: list[Object]) -> None:
        for pod in children:
            if not pods.is_over(pod):
                pods.delete_pod(self, pod)

    def _expire(self, job: Object) -> None:
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        ends = [each for each in job["status"]["conditions"] if each["type"] in ("Complete", "Failed")]
        if ttl is None or not ends:
            return
        left = parse(ends[0]["lastTransitionTime"]) + timedelta(seconds=ttl) - self.clock.now()
        if left > timedelta(0):
            self.enqueue(key_of(job), left.total_seconds() + 0.1)
        else:
            self.deleter.delete(JOB, *key_of(job), DeleteOptions(Propagation.FOREGROUND))

    def _write(self, job: Object, tally: _Tally, children: list[Object]) -> None:
        status = job.setdefault("status", {})
        active = [pod for pod in children if not pods.is_over(pod) and not pods.is_going(pod)]
        numbers = {
            "active": len(active),
            "ready": sum(pods.is_ready(pod) for pod in active),
            "terminating": sum(pods.is_going(pod) and not pods.is_over(pod) for pod in children),
            "succeeded": tally.succeeded,
            "failed": tally.failed,
        }
        for name, number in numbers.items():
            status.pop(name, None)
            if number:
                status[name] = number
        if _is_indexed(job):
            status["completedIndexes"] = _ranges(tally.done)
            if "backoffLimitPerIndex" in job["spec"]:
                status["failedIndexes"] = _ranges(tally.failed_indexes)
        suspended = bool(job["spec"].get("suspend"))
        if suspended and not is_true(job, "Suspended"):
            set_condition(job, "Suspended", "True", "JobSuspended", "Job suspended", self.clock.stamp())
            status.pop("startTime", None)
        elif not suspended:
            if is_true(job, "Suspended"):
                set_condition(job, "Suspended", "False", "JobResumed", "Job resumed", self.clock.stamp())
            status.setdefault("startTime", self.clock.stamp())
        self.write_status(JOB, job)


def _is_indexed(job: Object) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def _index(pod: Object) -> int | None:
    text = (pod["metadata"].get("annotations") or {}).get(INDEX)
    return None if text is None else int(text)


def _ranges(indexes: set[int]) -> str:
    """`0-2,5` of {0, 1, 2, 5}; two neighbours are written `0,1` (indexed_job_utils.go)."""
    parts: list[list[int]] = []
    for index in sorted(indexes):
        if parts and parts[-1][-1] == index - 1:
            parts[-1].append(index)
        else:
            parts.append([index])
    texts = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in parts]
    return ",".join(texts)
