"""TrainJob of Kubeflow Trainer v2, with a TrainingRuntime of its own for each attempt.

v2 lets nobody write a pod template into a TrainJob, and its override fields changed in every minor release. So the
TrainingRuntime holds the whole template, and the TrainJob only names it.
"""

from __future__ import annotations

from typing import Final

from selfreward.api import Training, TrainingBackend
from selfreward.render.metadata import Manifest
from selfreward.render.resource import Resource
from selfreward.render.training.backend import Backend

_GROUP: Final = "trainer.kubeflow.org"
_TRAIN_JOBS: Final = Resource(_GROUP, "v1alpha1", "trainjobs", "TrainJob")
_TRAINING_RUNTIMES: Final = Resource(_GROUP, "v1alpha1", "trainingruntimes", "TrainingRuntime")
_NODE: Final = "node"
"""Name that v2 gives the job, and the container, that trains."""
_STEP: Final = f"{_GROUP}/trainjob-ancestor-step"


def _manifests(metadata: Manifest, training: Training, template: Manifest) -> list[Manifest]:
    """The TrainingRuntime and the TrainJob."""
    replicated = {
        "name": _NODE,
        "template": {
            "metadata": {"labels": {_STEP: "trainer"}},
            "spec": {"backoffLimit": 0, "template": template},
        },
    }
    runtime = {
        "apiVersion": _TRAINING_RUNTIMES.api_version,
        "kind": _TRAINING_RUNTIMES.kind,
        "metadata": metadata,
        "spec": {
            # How many processes the TrainJob says: since v2.2 a runtime has no field for it, and refuses one.
            "mlPolicy": {"numNodes": training.nodes, "torch": {}},
            "template": {"spec": {"replicatedJobs": [replicated], "failurePolicy": {"maxRestarts": 0}}},
        },
    }
    job = {
        "apiVersion": _TRAIN_JOBS.api_version,
        "kind": _TRAIN_JOBS.kind,
        "metadata": metadata,
        "spec": {
            "runtimeRef": {"apiGroup": _GROUP, "kind": _TRAINING_RUNTIMES.kind, "name": metadata["name"]},
            # A number: "auto" is the number of CPUs where there is no GPU.
            "trainer": {"numNodes": training.nodes, "numProcPerNode": training.processes_per_node},
        },
    }
    return [runtime, job]


TRAINJOB: Final = Backend(
    name=TrainingBackend.TRAINJOB,
    resource=_TRAIN_JOBS,
    brings=(_TRAINING_RUNTIMES,),
    container=_NODE,
    restart="Never",
    manifests=_manifests,
    succeeded="Complete",
    install="install Kubeflow Trainer v2",
)
