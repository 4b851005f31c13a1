"""Kubeflow Trainer v2's TrainJob: a runtime's template, filled in, as pods; Suspended, Complete and Failed.

There is no Running condition: `status.jobsStatus` tells. The JobSet between TrainJob and pods is left out; pods
carry its labels. A deadline works here, and ends the pods (kubeflow trainer 2.3.0).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from kube import patching
from kube.clock import parse
from kube.controllers import Controller
from kube.fields import ListKeys, merged
from kube.kinds import BY_NAME, POD, TRAIN_JOB
from kube.simulators import pods
from kube.simulators.conditions import is_true, set_condition
from kube.storage import Change, Object, copied, key_of

JOB: Final = "node"
"""Name of the replicated job, and of its container, that trains."""
Address = tuple[str, str]


class TrainJobController(Controller[Address]):
    """Runs TrainJobs."""

    delay = 0.2
    manager = "trainer"

    def observe(self, change: Change) -> None:
        if change.kind is TRAIN_JOB and change.after is not None:
            self.enqueue(key_of(change.after))
        elif change.kind is POD:
            key = pods.owner_key(change.object, TRAIN_JOB)
            if key is not None:
                self.enqueue(key)

    def reconcile(self, key: Address) -> None:
        job = self.storage.get(TRAIN_JOB, *key)
        if job is None or pods.is_going(job):
            return
        children = pods.pods_of(self, job)
        if job["spec"].get("suspend"):
            self._suspend(job, children)
        elif not _is_over(job):
            if is_true(job, "Suspended"):
                self._condition(job, "Suspended", "False", "Resumed", "TrainJob is resumed")
            job.setdefault("status", {}).setdefault("startTime", self.clock.stamp())
            self._run(job, children)
        self._count(job, pods.pods_of(self, job))
        self.write_status(TRAIN_JOB, job)

    def _run(self, job: Object, children: list[Object]) -> None:
        template = self._template(job)
        if template is None:
            name = job["spec"]["runtimeRef"]["name"]
            self._condition(job, "Failed", "True", "TrainingRuntimeNotSupported", f"runtime {name} not found")
            return
        names = {pod["metadata"]["name"] for pod in children}
        total = _nodes(job)
        for index in range(total):
            name = f"{job['metadata']['name']}-{JOB}-0-{index}"
            if name not in names:
                labels = {
                    "jobset.sigs.k8s.io/jobset-name": job["metadata"]["name"],
                    "jobset.sigs.k8s.io/job-completion-index": str(index),
                    "trainer.kubeflow.org/trainjob-ancestor-step": "trainer",
                }
                env = {"PET_NNODES": str(total), "PET_NODE_RANK": str(index)}
                owner = pods.owner_reference(TRAIN_JOB, job)
                pod = pods.pod_from(template, owner, name, labels=labels, env=env)
                pod["spec"].setdefault("restartPolicy", "Never")
                self.writer.create(POD, key_of(job)[0], pod, self.actor())
        self._judge(job, children, total)

    def _judge(self, job: Object, children: list[Object], total: int) -> None:
        deadline = job["spec"].get("activeDeadlineSeconds")
        if any(pods.phase(pod) == "Failed" for pod in children):
            self._condition(job, "Failed", "True", "FailedJobs", "jobset failed due to one or more job failures")
        elif sum(pods.phase(pod) == "Succeeded" for pod in children) == total:
            self._condition(job, "Complete", "True", "AllJobsCompleted", "jobset completed successfully")
        elif deadline is not None:
            ends = parse(job["status"]["startTime"]) + timedelta(seconds=deadline)
            left = (ends - self.clock.now()).total_seconds()
            if left <= 0:
                self._condition(job, "Failed", "True", "DeadlineExceeded", "TrainJob was active too long")
            else:
                self.enqueue(key_of(job), left + 0.1)
        if _is_over(job):
            self._stop(children)

    def _template(self, job: Object) -> Object | None:
        """The pod template of the runtime's `node` job with the TrainJob's own settings laid over it."""
        reference = job["spec"]["runtimeRef"]
        kind = BY_NAME[reference.get("kind", "ClusterTrainingRuntime")]
        home = key_of(job)[0] if kind.namespaced else ""
        runtime = self.storage.get(kind, home, reference["name"])
        if runtime is None:
            return None
        template = _node_template(runtime["spec"]["template"]["spec"])
        if template is None:
            return None
        for patch in _patches(job):
            template = merged(template, patch, ListKeys(atomic_outside_metadata=False), (("f", "template"),))
        trainer = job["spec"].get("trainer") or {}
        container = next(each for each in template["spec"]["containers"] if each["name"] == JOB)
        for field in ("image", "command", "args"):
            if field in trainer:
                container[field] = trainer[field]
        container["env"] = [*(container.get("env") or []), *(trainer.get("env") or [])]
        if trainer.get("resourcesPerNode"):
            container["resources"] = patching.merge_patch(container.get("resources"), trainer["resourcesPerNode"])
        return template

    def _suspend(self, job: Object, children: list[Object]) -> None:
        self._stop(children)
        if not is_true(job, "Suspended") and not _is_over(job):
            self._condition(job, "Suspended", "True", "Suspended", "TrainJob is suspended")
            job["status"].pop("startTime", None)

    def _stop(self, children: list[Object]) -> None:
        for pod in children:
            if not pods.is_over(pod):
                pods.delete_pod(self, pod)

    def _count(self, job: Object, children: list[Object]) -> None:
        counts = {
            "ready": sum(pods.is_ready(pod) for pod in children),
            "active": sum(not pods.is_over(pod) for pod in children),
            "succeeded": sum(pods.phase(pod) == "Succeeded" for pod in children),
            "failed": sum(pods.phase(pod) == "Failed" for pod in children),
        }
        suspended = int(bool(job["spec"].get("suspend")))
        job.setdefault("status", {})["jobsStatus"] = [{"name": JOB, **counts, "suspended": suspended}]

    def _condition(self, job: Object, type_: str, status: str, reason: str, message: str) -> None:
        set_condition(job, type_, status, reason, message, self.clock.stamp())


def _is_over(job: Object) -> bool:
    return is_true(job, "Complete") or is_true(job, "Failed")


def _nodes(job: Object) -> int:
    return int((job["spec"].get("trainer") or {}).get("numNodes", 1))


def _node_template(jobset: dict[str, Any]) -> Object | None:
    for replicated in jobset.get("replicatedJobs") or []:
        if replicated["name"] == JOB:
            return copied(dict(replicated["template"]["spec"]["template"]))
    return None


def _patches(job: Object) -> Iterator[Object]:
    """The pod template patches of `runtimePatches` for the `node` job."""
    for patch in job["spec"].get("runtimePatches") or []:
        jobset = ((patch.get("trainingRuntimeSpec") or {}).get("template") or {}).get("spec") or {}
        for replicated in jobset.get("replicatedJobs") or []:
            if replicated["name"] == JOB:
                yield replicated["template"]["spec"]["template"]
