"""The reservation of a run that queues as a whole: one Workload of Kueue, which no pod belongs to.

Kueue counts it against the queue's quota and says from which flavors of nodes that is; the run's own pods, which bear
no queue's label then, go to nodes of these flavors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from selfreward.api import SelfRewardRun, Workload
from selfreward.api.workloads import is_accelerator
from selfreward.plan import capped_name
from selfreward.render.metadata import COMPONENT, PRIORITY, QUEUE, Manifest, object_metadata
from selfreward.render.resource import Resource

_GROUP: Final = "kueue.x-k8s.io"
RESERVATIONS: Final = Resource(_GROUP, "v1beta2", "workloads", "Workload")
FLAVORS: Final = Resource(_GROUP, "v1beta2", "resourceflavors", "ResourceFlavor")
PRIORITIES: Final = Resource(_GROUP, "v1beta2", "workloadpriorityclasses", "WorkloadPriorityClass")
_UID_LENGTH: Final = 8
_ON_ACCELERATORS: Final = ("serving", "training")
"""Kinds of workload that ask for accelerators; the others go where the processors of the reservation are."""

Flavors = Mapping[str, Mapping[str, Any]]
"""The spec of the flavor that each reserved resource comes from, by the resource's name."""


def reservation_name(run: SelfRewardRun) -> str:
    """With the uid in it: an earlier run of the same name may still be going."""
    return capped_name(f"{run.metadata.name}-quota-{run.metadata.uid[:_UID_LENGTH]}")


def reservation(run: SelfRewardRun, priority: int | None) -> Manifest:
    """The run's Workload; `priority` is the value of the class that its label names."""
    requests = dict(run.spec.reservation)
    container = {"name": "run", "image": "none", "resources": {"requests": requests}}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    spec: Manifest = {
        "queueName": run.metadata.labels[QUEUE],
        "podSets": [{"name": "main", "count": 1, "template": template}],
    }
    if priority is not None:
        name = run.metadata.labels[PRIORITY]
        spec |= {"priorityClassRef": {"group": _GROUP, "kind": PRIORITIES.kind, "name": name}, "priority": priority}
    return {
        "apiVersion": RESERVATIONS.api_version,
        "kind": RESERVATIONS.kind,
        "metadata": object_metadata(run, reservation_name(run), {COMPONENT: "quota"}),
        "spec": spec,
    }


def on_flavors(run: SelfRewardRun, flavors: Flavors) -> SelfRewardRun:
    """The run with its pods on nodes of these flavors, tolerating what these say."""
    if not flavors:
        return run
    kinds = {
        kind: _placed(
            workload,
            [flavor for name, flavor in flavors.items() if kind in _ON_ACCELERATORS or not is_accelerator(name)],
        )
        for kind, workload in run.spec.workloads
    }
    workloads = run.spec.workloads.model_copy(update=kinds)
    return run.model_copy(update={"spec": run.spec.model_copy(update={"workloads": workloads})})


def _placed(workload: Workload, flavors: Sequence[Mapping[str, Any]]) -> Workload:
    selector = dict(workload.node_selector)
    tolerations = list(workload.tolerations)
    for flavor in flavors:
        selector |= flavor.get("nodeLabels") or {}
        tolerations += [each for each in flavor.get("tolerations") or [] if each not in tolerations]
    return workload.model_copy(update={"node_selector": selector, "tolerations": tolerations})
