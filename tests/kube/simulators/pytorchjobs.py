"""training-operator v1.9.4's PyTorchJob, defects included, in the two shapes the project uses.

Its verdict is a hint: any worker's success without a Master is the job's success, the first failure under
`restartPolicy: Never` its failure, whichever it looks at first, and no later pod changes that (P6, P11). Its
activeDeadlineSeconds is only looked at when some event arrives (P1), so a job that hangs never meets it.
Source: training-operator v1.9.4 `pkg/controller.v1/pytorch`, read and run; P-numbers as in the project's notes.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from kube.clock import parse
from kube.controllers import Controller
from kube.deleting import DeleteOptions
from kube.kinds import POD, PYTORCH_JOB, SERVICE
from kube.simulators import pods
from kube.simulators.conditions import is_true, set_condition
from kube.storage import Change, Object, key_of

PREFIX: Final = "training.kubeflow.org"
PORT: Final = 23456
Address = tuple[str, str]


class PyTorchJobController(Controller[Address]):
    """Runs PyTorchJobs."""

    delay = 0.2
    manager = "training-operator"

    def observe(self, change: Change) -> None:
        if change.kind is PYTORCH_JOB and change.after is not None:
            self.enqueue(key_of(change.after))
        elif change.kind is POD:
            key = pods.owner_key(change.object, PYTORCH_JOB)
            if key is not None:
                self.enqueue(key)

    def reconcile(self, key: Address) -> None:
        job = self.storage.get(PYTORCH_JOB, *key)
        if job is None or pods.is_going(job):
            return
        policy = job["spec"].get("runPolicy") or {}
        if not job.get("status", {}).get("conditions"):
            self._condition(job, "Created", "True", f"PyTorchJob {key[1]} is created.")
        if policy.get("suspend"):
            self._suspend(job)
        elif not _is_over(job):
            self._resume(job)
            self._run(job, policy)
        self._count(job)
        self.write_status(PYTORCH_JOB, job)

    def _run(self, job: Object, policy: dict[str, Any]) -> None:
        children = pods.pods_of(self, job)
        names = {pod["metadata"]["name"] for pod in children}
        for role, replica in job["spec"]["pytorchReplicaSpecs"].items():
            for index in range(replica.get("replicas", 1)):
                if _name(job, role, index) not in names:
                    self._create(job, role, index, replica)
        self._judge(job, policy, children)
        if _is_over(job) and policy.get("cleanPodPolicy", "None") != "None":
            everyone = policy["cleanPodPolicy"] == "All"
            for pod in children:
                if everyone or not pods.is_over(pod):
                    pods.delete_pod(self, pod)
            self._delete_services(job)

    def _judge(self, job: Object, policy: dict[str, Any], children: list[Object]) -> None:
        name = job["metadata"]["name"]
        deadline, started = policy.get("activeDeadlineSeconds"), job["status"].get("startTime")
        if deadline is not None and started and self.clock.now() >= parse(started) + timedelta(seconds=deadline):
            self._finish(job, "Failed", f"PyTorchJob {name} has failed because it was active longer than deadline")
        elif any(pods.phase(pod) == "Failed" for pod in children):
            self._finish(job, "Failed", f"PyTorchJob {name} is failed because 1 replica(s) failed.")
        elif any(pods.phase(pod) == "Succeeded" and _decides(job, pod) for pod in children):
            self._finish(job, "Succeeded", f"PyTorchJob {name} is successfully completed.")
            job["status"]["completionTime"] = self.clock.stamp()
        elif any(pods.phase(pod) == "Running" for pod in children):
            self._condition(job, "Running", "True", f"PyTorchJob {name} is running.")

    def _finish(self, job: Object, verdict: str, message: str) -> None:
        if is_true(job, "Running"):
            self._condition(job, "Running", "False", message)
        self._condition(job, verdict, "True", message)

    def _create(self, job: Object, role: str, index: int, replica: dict[str, Any]) -> None:
        namespace, name = key_of(job)
        labels = {
            f"{PREFIX}/job-name": name,
            f"{PREFIX}/operator-name": "pytorchjob-controller",
            f"{PREFIX}/replica-type": role.lower(),
            f"{PREFIX}/replica-index": str(index),
        } | ({f"{PREFIX}/job-role": "master"} if role == "Master" else {})
        owner = pods.owner_reference(PYTORCH_JOB, job)
        pod = pods.pod_from(replica["template"], owner, _name(job, role, index), labels=labels, env=_env(job, index))
        # The replica's policy overwrites the template's.
        pod["spec"]["restartPolicy"] = replica.get("restartPolicy", "OnFailure")
        if pods.create_pod(self, PYTORCH_JOB, job, pod, "FailedCreatePod"):
            self.enqueue(key_of(job), pods.REFUSED_AGAIN)
            return
        if self.storage.view(SERVICE, namespace, _name(job, role, index)) is None:
            service = {
                "metadata": {"name": _name(job, role, index), "labels": labels, "ownerReferences": [owner]},
                "spec": {"clusterIP": "None", "selector": labels, "ports": [{"name": "pytorchjob-port", "port": PORT}]},
            }
            self.writer.create(SERVICE, namespace, service, self.actor())

    def _suspend(self, job: Object) -> None:
        for pod in pods.pods_of(self, job):
            pods.delete_pod(self, pod)
        self._delete_services(job)
        if not is_true(job, "Suspended") and not _is_over(job):
            if is_true(job, "Running"):
                self._condition(job, "Running", "False", f"PyTorchJob {job['metadata']['name']} is suspended.")
            self._condition(job, "Suspended", "True", f"PyTorchJob {job['metadata']['name']} is suspended.")
            job["status"].pop("startTime", None)

    def _resume(self, job: Object) -> None:
        if is_true(job, "Suspended"):
            message = f"PyTorchJob {job['metadata']['name']} is resumed."
            self._condition(job, "Suspended", "False", message, "PyTorchJobResumed")
        job["status"].setdefault("startTime", self.clock.stamp())

    def _delete_services(self, job: Object) -> None:
        uid = job["metadata"]["uid"]
        for service in list(self.storage.peek(SERVICE, key_of(job)[0])):
            if any(owner["uid"] == uid for owner in service["metadata"].get("ownerReferences") or []):
                self.deleter.delete(SERVICE, *key_of(service), DeleteOptions())

    def _count(self, job: Object) -> None:
        children = pods.pods_of(self, job)
        job["status"]["replicaStatuses"] = {
            role: _counts([pod for pod in children if _role(pod) == role.lower()])
            for role in job["spec"]["pytorchReplicaSpecs"]
        }

    def _condition(self, job: Object, type_: str, status: str, message: str, reason: str = "") -> None:
        reason = reason or f"PyTorchJob{type_}"
        set_condition(job, type_, status, reason, message, self.clock.stamp(), seen="lastUpdateTime")


def _is_over(job: Object) -> bool:
    return is_true(job, "Succeeded") or is_true(job, "Failed")


def _name(job: Object, role: str, index: int) -> str:
    return f"{job['metadata']['name']}-{role.lower()}-{index}"


def _role(pod: Object) -> str:
    return str(pod["metadata"]["labels"].get(f"{PREFIX}/replica-type", ""))


def _decides(job: Object, pod: Object) -> bool:
    """Whether this pod's success is the job's: the master's, or without one any worker's."""
    has_master = "Master" in job["spec"]["pytorchReplicaSpecs"]
    return _role(pod) == "master" if has_master else True


def _counts(children: list[Object]) -> dict[str, int]:
    phases = {"active": ("Running",), "succeeded": ("Succeeded",), "failed": ("Failed",)}
    counts = {name: sum(pods.phase(pod) in wanted for pod in children) for name, wanted in phases.items()}
    return {name: count for name, count in counts.items() if count}


def _env(job: Object, index: int) -> dict[str, str]:
    """What the controller adds to every container (reference 2.3)."""
    spec, name = job["spec"], job["metadata"]["name"]
    total = sum(replica.get("replicas", 1) for replica in spec["pytorchReplicaSpecs"].values())
    env = {"PYTHONUNBUFFERED": "1", "PET_NPROC_PER_NODE": str(spec.get("nprocPerNode", "auto"))}
    if "Master" in spec["pytorchReplicaSpecs"]:
        env |= {"MASTER_ADDR": f"{name}-master-0", "MASTER_PORT": str(PORT), "RANK": str(index)}
        env |= {"PET_NNODES": str(total), "PET_NODE_RANK": str(index)}
    elastic = spec.get("elasticPolicy")
    if elastic:
        env |= {
            "PET_NNODES": f"{elastic['minReplicas']}:{elastic['maxReplicas']}",
            "PET_RDZV_ENDPOINT": f"{name}-worker-0:{PORT}",
            "PET_RDZV_BACKEND": elastic.get("rdzvBackend", "c10d"),
            "PET_MAX_RESTARTS": str(elastic.get("maxRestarts", 0)),
        }
    return env
