"""Training as a TrainJob (Kubeflow Trainer v2), made from the PyTorchJob of the same attempt.

v2 lets nobody write a pod template into a TrainJob, and its override fields changed in every minor release. So each
attempt brings a TrainingRuntime of its own with the whole template, and the TrainJob only names it.
"""

from __future__ import annotations

import copy
from typing import Final

from selfreward.api import Training
from selfreward.render.metadata import Manifest

_API: Final = "trainer.kubeflow.org/v1alpha1"
NODE: Final = "node"
"""Name that v2 gives the job, and the container, that trains."""
_STEP: Final = "trainer.kubeflow.org/trainjob-ancestor-step"


def train_job(pytorch_job: Manifest, training: Training) -> tuple[Manifest, Manifest]:
    """The TrainingRuntime and the TrainJob that do what `pytorch_job` does."""
    (replicas,) = pytorch_job["spec"]["pytorchReplicaSpecs"].values()
    template = copy.deepcopy(replicas["template"])
    template["spec"]["restartPolicy"] = "Never"
    template["spec"]["containers"][0]["name"] = NODE
    metadata = pytorch_job["metadata"]
    replicated = {
        "name": NODE,
        "template": {
            "metadata": {"labels": {_STEP: "trainer"}},
            "spec": {"backoffLimit": 0, "template": template},
        },
    }
    runtime = {
        "apiVersion": _API,
        "kind": "TrainingRuntime",
        "metadata": metadata,
        "spec": {
            # A number: "auto" is the number of CPUs where there is no GPU.
            "mlPolicy": {"numNodes": training.nodes, "torch": {"numProcPerNode": training.processes_per_node}},
            "template": {"spec": {"replicatedJobs": [replicated], "failurePolicy": {"maxRestarts": 0}}},
        },
    }
    job = {
        "apiVersion": _API,
        "kind": "TrainJob",
        "metadata": metadata,
        "spec": {
            "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": metadata["name"]},
            "trainer": {"numNodes": training.nodes, "numProcPerNode": training.processes_per_node},
        },
    }
    return runtime, job
