"""Scheduler and kubelet in one: every pod gets a life, and a life plays the script that the playbook gives it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from kube.behaviour import Playbook, StepPod
from kube.controllers import Controller, Machinery
from kube.kinds import POD
from kube.logs import PodLogs
from kube.simulators.artifacts import AfterCommit
from kube.simulators.engines import Held
from kube.simulators.pod_life import PodLife
from kube.storage import Change, Object, key_of

Address = tuple[str, str]


class Kubelet(Controller[Address]):
    """Starts a life for each new pod, tells it of its deletion, and ends it when the pod is gone."""

    delay = 0.0
    manager = "kubelet"

    def __init__(
        self, machinery: Machinery, playbook: Playbook, logs: PodLogs, after_commit: Sequence[AfterCommit]
    ) -> None:
        super().__init__(machinery)
        self.playbook = playbook
        self.logs = logs
        self.after_commit = after_commit
        self.engines: dict[str, Held] = {}
        """What kept engines hold, by pod."""
        self._lives: dict[str, PodLife] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def observe(self, change: Change) -> None:
        if change.kind is not POD:
            return
        uid = change.object["metadata"]["uid"]
        if change.after is None:
            self._end(uid)
        elif change.before is None:
            self.enqueue(key_of(change.after))
        elif change.after["metadata"].get("deletionTimestamp") and uid in self._lives:
            self._lives[uid].deleted.set()
        elif uid in self._lives and change.before["metadata"].get("annotations") != change.after["metadata"].get(
            "annotations"
        ):
            self._lives[uid].annotated.set()

    def reconcile(self, key: Address) -> None:
        pod = self.storage.get(POD, *key)
        if pod is None or pod["metadata"]["uid"] in self._lives:
            return
        uid = pod["metadata"]["uid"]
        who = StepPod(pod, workload_of(pod), rank_of(pod))
        life = PodLife(self, who, self.playbook.behaviour_of(who))
        self._lives[uid] = life
        task = self._loop.create_task(life.live())
        self._tasks[uid] = task
        task.add_done_callback(self._note_failure)

    def stop(self) -> None:
        super().stop()
        for uid in list(self._tasks):
            self._end(uid)

    def _end(self, uid: str) -> None:
        self._lives.pop(uid, None)
        task = self._tasks.pop(uid, None)
        # A life that removed its own pod is on its last line and needs no cancelling.
        if task is not None and task is not _current():
            task.cancel()

    def _note_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            assert error is not None
            self._failures.append(error)


def _current() -> asyncio.Task[None] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def workload_of(pod: Object) -> str:
    """Kind of the workload a pod belongs to: a ReplicaSet's is a Deployment."""
    owners = pod["metadata"].get("ownerReferences") or []
    kind = owners[0]["kind"] if owners else "Pod"
    return "Deployment" if kind == "ReplicaSet" else str(kind)


def rank_of(pod: Object) -> int:
    """Rank of a training pod's node; 0 for everything else."""
    labels = pod["metadata"].get("labels") or {}
    index = labels.get("training.kubeflow.org/replica-index") or labels.get("jobset.sigs.k8s.io/job-completion-index")
    # Without a Master the workers count from 0; beside one they would from 1, a shape we never use.
    return int(index or 0)
