"""Deployments and their ReplicaSets: pods that are kept running, counts, Available and Progressing.

A Deployment owns ReplicaSets and those own the pods, so a pod's owner is never the Deployment itself.
Source: kubernetes.io, "Deployments"; pkg/controller/deployment.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any, Final

from kube.clock import parse
from kube.controllers import Controller
from kube.deleting import DeleteOptions
from kube.kinds import BY_NAME, POD
from kube.simulators import pods
from kube.simulators.conditions import is_true, set_condition
from kube.storage import Change, Object, copied, key_of

DEPLOYMENT: Final = BY_NAME["Deployment"]
REPLICA_SET: Final = BY_NAME["ReplicaSet"]
HASH: Final = "pod-template-hash"
Address = tuple[str, str]


class ReplicaSetController(Controller[Address]):
    """Keeps as many pods as asked for."""

    def observe(self, change: Change) -> None:
        if change.kind is REPLICA_SET:
            self.enqueue(key_of(change.object))
        elif change.kind is POD:
            key = pods.owner_key(change.object, REPLICA_SET)
            if key is not None:
                self.enqueue(key)

    def reconcile(self, key: Address) -> None:
        item = self.storage.get(REPLICA_SET, *key)
        if item is None or pods.is_going(item):
            return
        living = [pod for pod in pods.pods_of(self, item) if not pods.is_over(pod) and not pods.is_going(pod)]
        wanted, refused = item["spec"]["replicas"], ""
        for _ in range(wanted - len(living)):
            name = f"{key[1]}-{self.identities.suffix()}"
            pod = pods.pod_from(item["spec"]["template"], pods.owner_reference(REPLICA_SET, item), name)
            if refused := pods.create_pod(self, REPLICA_SET, item, pod):
                self.enqueue(key, pods.REFUSED_AGAIN)
                break
        for pod in living[wanted:]:
            pods.delete_pod(self, pod)
        ready = sum(map(pods.is_ready, living))
        told = (item.get("status") or {}).get("conditions", []) if refused else []
        item["status"] = {
            "conditions": told,
            "replicas": len(living),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "observedGeneration": item["metadata"]["generation"],
        }
        if refused:
            set_condition(item, "ReplicaFailure", "True", "FailedCreate", refused, self.clock.stamp())
        self.write_status(REPLICA_SET, item)


class DeploymentController(Controller[Address]):
    """Rolls out: `Recreate` waits for the old pods to go, anything else starts the new ones at once."""

    def observe(self, change: Change) -> None:
        if change.kind is DEPLOYMENT:
            self.enqueue(key_of(change.object))
        elif change.kind is REPLICA_SET:
            key = pods.owner_key(change.object, DEPLOYMENT)
            if key is not None:
                self.enqueue(key)

    def reconcile(self, key: Address) -> None:
        item = self.storage.get(DEPLOYMENT, *key)
        if item is None or pods.is_going(item):
            return
        template = item["spec"]["template"]
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        current, old = None, []
        for replica_set in self._replica_sets(item):
            if replica_set["metadata"]["labels"][HASH] == digest:
                current = replica_set
            else:
                old.append(replica_set)
        old_pods = [pod for replica_set in old for pod in pods.pods_of(self, replica_set)]
        for replica_set in old:
            self._scale(replica_set, 0)
            if not pods.pods_of(self, replica_set):
                self.deleter.delete(REPLICA_SET, *key_of(replica_set), DeleteOptions())
        waits = (item["spec"].get("strategy") or {}).get("type") == "Recreate" and old_pods
        if waits:
            self.enqueue(key, 1)
        elif current is None:
            current = self._create(item, digest)
        else:
            self._scale(current, item["spec"]["replicas"])
        self._write(item, current)

    def _replica_sets(self, item: Object) -> list[Object]:
        uid = item["metadata"]["uid"]
        return [
            found
            for each in list(self.storage.peek(REPLICA_SET, key_of(item)[0]))
            if any(owner["uid"] == uid for owner in each["metadata"].get("ownerReferences") or [])
            and (found := self.storage.get(REPLICA_SET, *key_of(each))) is not None
        ]

    def _scale(self, replica_set: Object, replicas: int) -> None:
        if replica_set["spec"]["replicas"] != replicas:
            replica_set["spec"]["replicas"] = replicas
            self.update(REPLICA_SET, replica_set)

    def _create(self, item: Object, digest: str) -> Object:
        namespace, name = key_of(item)
        template = copied(item["spec"]["template"])
        template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = digest
        selector = {"matchLabels": {**item["spec"]["selector"]["matchLabels"], HASH: digest}}
        replica_set: dict[str, Any] = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{name}-{digest}",
                "labels": template["metadata"]["labels"],
                "ownerReferences": [pods.owner_reference(DEPLOYMENT, item)],
            },
            "spec": {"replicas": item["spec"]["replicas"], "selector": selector, "template": template},
        }
        return copied(self.writer.create(REPLICA_SET, namespace, replica_set, self.actor()))

    def _write(self, item: Object, current: Object | None) -> None:
        counts = (current or {}).get("status", {})
        wanted, ready = item["spec"]["replicas"], counts.get("readyReplicas", 0)
        old = item.get("status", {})
        item["status"] = {
            "observedGeneration": item["metadata"]["generation"],
            "replicas": counts.get("replicas", 0),
            "updatedReplicas": counts.get("replicas", 0),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": max(wanted - ready, 0),
            "conditions": old.get("conditions", []),
        }
        item["status"] = {key: value for key, value in item["status"].items() if value or key == "observedGeneration"}
        now = self.clock.stamp()
        if ready >= wanted:
            self._condition(
                item, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."
            )
            self._condition(item, "Progressing", "True", "NewReplicaSetAvailable", "ReplicaSet has progressed.")
        else:
            text = "Deployment does not have minimum availability."
            self._condition(item, "Available", "False", "MinimumReplicasUnavailable", text)
            self._progress(item, now)
        self._refused(item, counts, now)
        self.write_status(DEPLOYMENT, item)

    def _refused(self, item: Object, counts: dict[str, Any], now: str) -> None:
        """The replica set's failure is the deployment's too, for as long as it has it."""
        kept = [each for each in item["status"].get("conditions", []) if each["type"] != "ReplicaFailure"]
        failed = [each for each in counts.get("conditions", []) if each["type"] == "ReplicaFailure"]
        item["status"]["conditions"] = kept + [{**each, "lastUpdateTime": now} for each in failed]

    def _progress(self, item: Object, now: str) -> None:
        if not is_true(item, "Progressing"):
            conditions = item["status"].get("conditions", [])
            if not any(each["type"] == "Progressing" for each in conditions):
                self._condition(item, "Progressing", "True", "NewReplicaSetCreated", "Created new replica set")
        since = next(each for each in item["status"]["conditions"] if each["type"] == "Progressing")
        ends = parse(since["lastUpdateTime"]) + timedelta(seconds=item["spec"]["progressDeadlineSeconds"])
        left = (ends - parse(now)).total_seconds()
        if left <= 0 and since["reason"] != "ProgressDeadlineExceeded":
            self._condition(item, "Progressing", "False", "ProgressDeadlineExceeded", "ReplicaSet has timed out.")
        elif left > 0:
            self.enqueue(key_of(item), left + 1)

    def _condition(self, item: Object, type_: str, status: str, reason: str, message: str) -> None:
        set_condition(item, type_, status, reason, message, self.clock.stamp(), seen="lastUpdateTime")
