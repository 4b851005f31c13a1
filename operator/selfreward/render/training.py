"""Training jobs: PyTorchJob v1, in the two shapes that were run to success (DESIGN.md, PyTorchJob).

Its own deadlines and retries do not work (training-operator's work queue is a no-op), so nothing here relies on
them: one object an attempt, and the committed artifact decides.
"""

from __future__ import annotations

from selfreward_steps.contract import StepName

from selfreward.api import Training, TrainingBackend
from selfreward.render.metadata import Manifest


def launch_command(training: Training, step: StepName) -> list[str]:
    """One process needs no torchrun; more are started by it, with the shape read from the PET_* variables."""
    module = ["-m", "selfreward_steps", step.value]
    if training.nodes * training.processes_per_node == 1:
        return ["python3", *module]
    return ["python3", "-m", "torch.distributed.run", *module]


def pytorch_job(metadata: Manifest, training: Training, template: Manifest) -> Manifest:
    """Master only for one node, elastic Worker only for several.

    A Master beside Workers would bring an init container that gives up after 200 s and that Pod Security
    "restricted" refuses. Raises ValueError for the TrainJob backend.
    """
    if training.backend is TrainingBackend.TRAINJOB:
        raise ValueError("spec.training.backend: trainjob: this version runs training as a pytorchjob")
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
    return {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": metadata, "spec": spec}


def _replicas(count: int, template: Manifest) -> Manifest:
    return {"replicas": count, "restartPolicy": "Never", "template": template}
