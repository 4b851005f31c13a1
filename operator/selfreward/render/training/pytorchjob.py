"""PyTorchJob of Kubeflow training-operator v1, in the two shapes that were run to success.

Its own deadlines and retries do not work (training-operator's work queue is a no-op), so nothing here relies on
them: one object an attempt, and the committed artifact decides.
"""

from __future__ import annotations

from typing import Final

from selfreward.api import Training, TrainingBackend
from selfreward.render.metadata import Manifest
from selfreward.render.resource import Resource
from selfreward.render.training.backend import Backend

_PYTORCH_JOBS: Final = Resource("kubeflow.org", "v1", "pytorchjobs", "PyTorchJob")


def _manifests(metadata: Manifest, training: Training, template: Manifest) -> list[Manifest]:
    """Master only for one node, elastic Worker only for several.

    A Master beside Workers would bring an init container that gives up after 200 s and that Pod Security
    "restricted" refuses.
    """
    spec: Manifest = {
        # An integer, not "auto": WORLD_SIZE would count one process a node.
        "nprocPerNode": str(training.processes_per_node),
        "runPolicy": {"cleanPodPolicy": "Running", "backoffLimit": 0},
    }
    if training.nodes == 1:
        spec["pytorchReplicaSpecs"] = {"Master": _replicas(1, template)}
    else:
        spec["elasticPolicy"] = {
            "minReplicas": training.nodes,
            "maxReplicas": training.nodes,
            "rdzvBackend": "c10d",
            "maxRestarts": 0,
        }
        spec["pytorchReplicaSpecs"] = {"Worker": _replicas(training.nodes, template)}
    return [
        {"apiVersion": _PYTORCH_JOBS.api_version, "kind": _PYTORCH_JOBS.kind, "metadata": metadata, "spec": spec},
    ]


def _replicas(count: int, template: Manifest) -> Manifest:
    return {"replicas": count, "restartPolicy": "Never", "template": template}


PYTORCHJOB: Final = Backend(
    name=TrainingBackend.PYTORCHJOB,
    resource=_PYTORCH_JOBS,
    container="pytorch",
    restart=None,
    manifests=_manifests,
    succeeded="Succeeded",
    install="install Kubeflow training-operator v1",
    kueue_framework="kubeflow.org/pytorchjob",
)
