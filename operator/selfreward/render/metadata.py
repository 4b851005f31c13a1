"""Names, labels, owners and addresses: how a run's objects are found again, and only by their own run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from selfreward.api import API_VERSION, KIND, SelfRewardRun
from selfreward.plan.names import capped_name

Manifest = dict[str, Any]
"""A Kubernetes object as plain data, in the API's own spelling."""

SERVICE_PORT: Final = 8000
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
COMPONENT: Final = "app.kubernetes.io/component"
PREFIX: Final = "selfreward.dev"
RUN: Final = f"{PREFIX}/run"
RUN_UID: Final = f"{PREFIX}/run-uid"
ITERATION: Final = f"{PREFIX}/iteration"
STEP: Final = f"{PREFIX}/step"
KEY: Final = f"{PREFIX}/key"
ATTEMPT: Final = f"{PREFIX}/attempt"
MODEL: Final = f"{PREFIX}/model"
ENGINE: Final = f"{PREFIX}/engine"
"""Label of a kept engine's objects: the name of its Deployment, since its model changes."""
ASSIGNMENT: Final = f"{PREFIX}/assignment"
"""Annotation of a kept engine's pod: what it is to serve."""
QUEUE: Final = "kueue.x-k8s.io/queue-name"
PRIORITY: Final = "kueue.x-k8s.io/priority-class"
_QUEUEING: Final = (QUEUE, PRIORITY)
"""Labels that Kueue reads on workloads."""


def reserves(run: SelfRewardRun) -> bool:
    """Whether the run queues as a whole."""
    return bool(run.spec.reservation and run.metadata.labels.get(QUEUE))


def queue_labels(run: SelfRewardRun) -> dict[str, str]:
    """The run's own labels that every workload of it must bear to be queued by itself."""
    if reserves(run):
        return {}
    return {name: run.metadata.labels[name] for name in _QUEUEING if name in run.metadata.labels}


def run_labels(run: SelfRewardRun) -> dict[str, str]:
    """Labels of everything that belongs to the run. The uid tells apart two runs that had one name."""
    return {MANAGED_BY: "selfreward", RUN: run.metadata.name, RUN_UID: run.metadata.uid}


def object_metadata(
    run: SelfRewardRun, name: str, labels: Mapping[str, str], annotations: Mapping[str, str] | None = None
) -> Manifest:
    """Metadata of an object that goes when the run goes.

    `controller: true` so that adopting it is refused to anyone else; `blockOwnerDeletion` so that a foreground
    deletion of the run waits for the pods.
    """
    owner = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": run.metadata.name,
        "uid": run.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = {
        "name": name,
        "namespace": run.metadata.namespace,
        "labels": {**run_labels(run), **labels},
        "ownerReferences": [owner],
    }
    return metadata | ({"annotations": dict(annotations)} if annotations else {})


def service_name(run_name: str, model: str) -> str:
    """The Service of a model's server. It has no attempt in it: clients keep the address when a server is replaced."""
    return capped_name(f"{run_name}-serve-{model}")


def service_url(run: SelfRewardRun, model: str) -> str:
    """Base URL of a model's server, as the run's pods reach it (they share its namespace)."""
    return f"http://{service_name(run.metadata.name, model)}:{SERVICE_PORT}/v1"
