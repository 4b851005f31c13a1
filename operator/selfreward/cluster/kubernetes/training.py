"""Which resource runs a training step, and how its verdict is read: PyTorchJob v1 or TrainJob v2, one protocol.

Both are one object an attempt, both are only hints: the committed artifact decides (DESIGN.md, PyTorchJob).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from selfreward.api import SelfRewardRun, TrainingBackend
from selfreward.cluster.kubernetes.errors import Refused
from selfreward.cluster.kubernetes.resources import PYTORCH_JOBS, TRAIN_JOBS, Resource, View, condition_of
from selfreward.plan import ChildKind, CreateStep, Graph, Node, RunEvent
from selfreward.plan.types import EventReason
from selfreward.render import Images, Manifest, step_manifest
from selfreward.render.metadata import QUEUE
from selfreward.render.trainjob import train_job


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a workload says of its own end."""

    succeeded: bool
    message: str


class Backend(Protocol):
    """One way to run training."""

    resource: Resource

    def manifests(self, run: SelfRewardRun, node: Node, create: CreateStep, images: Images) -> list[Manifest]:
        """The objects of one attempt, the workload itself last."""
        ...

    def verdict(self, item: View) -> Verdict | None:
        """How it ended, if it has."""
        ...


class PyTorchJobs:
    """Kubeflow training-operator v1."""

    resource = PYTORCH_JOBS

    def manifests(self, run: SelfRewardRun, node: Node, create: CreateStep, images: Images) -> list[Manifest]:
        return [step_manifest(_as_pytorchjob(run), node, create, images)]

    def verdict(self, item: View) -> Verdict | None:
        return verdict_of(item, failed="Failed", succeeded="Succeeded")


class TrainJobs:
    """Kubeflow Trainer v2. Each attempt brings its own TrainingRuntime, so that the pod template is ours alone."""

    resource = TRAIN_JOBS

    def manifests(self, run: SelfRewardRun, node: Node, create: CreateStep, images: Images) -> list[Manifest]:
        return list(train_job(step_manifest(_as_pytorchjob(run), node, create, images), run.spec.training))

    def verdict(self, item: View) -> Verdict | None:
        return verdict_of(item, failed="Failed", succeeded="Complete")


BACKENDS: Final[tuple[Backend, ...]] = (PyTorchJobs(), TrainJobs())
_WANTED: Final = {TrainingBackend.PYTORCHJOB: PYTORCH_JOBS, TrainingBackend.TRAINJOB: TRAIN_JOBS}
_INSTALL: Final = {
    PYTORCH_JOBS: "install Kubeflow training-operator v1",
    TRAIN_JOBS: "install Kubeflow Trainer v2",
}


def choose(wanted: TrainingBackend, served: Collection[Resource]) -> Backend:
    """The backend that the run asks for, of those the cluster serves; PyTorchJob where both would do.

    Raises Refused when it is not there: somebody must install it, and then the run goes on.
    """
    if wanted is TrainingBackend.AUTO:
        for backend in BACKENDS:
            if backend.resource in served:
                return backend
        message = "spec.training.backend: auto: the cluster serves neither PyTorchJob nor TrainJob: "
        raise Refused(message + " or ".join(_INSTALL.values()), reason="TrainingOperatorMissing")
    backend = next(each for each in BACKENDS if each.resource is _WANTED[wanted])
    if backend.resource not in served:
        message = f"spec.training.backend: {wanted}: the cluster does not serve {backend.resource.kind}"
        raise Refused(f"{message}: {_INSTALL[backend.resource]}", reason="TrainingOperatorMissing")
    return backend


def cautions(run: SelfRewardRun, graph: Graph, served: Collection[Resource]) -> Iterator[RunEvent]:
    """What will be in the way of training, said when the run begins rather than hours later when training is next."""
    if not any(node.kind is ChildKind.TRAINING for node in graph.nodes):
        return
    try:
        backend = choose(run.spec.training.backend, served)
    except Refused as error:
        yield RunEvent(EventReason.TRAINING_OPERATOR_MISSING, str(error), warning=True)
        return
    queue = run.metadata.labels.get(QUEUE)
    if queue is not None and backend.resource is PYTORCH_JOBS:
        message = (
            f"Kueue manages PyTorchJobs only where kubeflow.org/pytorchjob is among its integrations.frameworks, which "
            f"it is not by default: otherwise training does not wait in queue {queue}; training.backend: trainjob does"
        )
        yield RunEvent(EventReason.QUEUE_MAY_NOT_APPLY, message, warning=True)


def backend_of(resource: Resource) -> Backend:
    """The backend whose objects these are; raises StopIteration for others."""
    return next(backend for backend in BACKENDS if backend.resource is resource)


def verdict_of(item: View, *, failed: str, succeeded: str) -> Verdict | None:
    """From the conditions of those types. A failure wins: PyTorchJob never takes one back."""
    for kind, well in ((failed, False), (succeeded, True)):
        condition = condition_of(item, kind)
        if condition is not None:
            return Verdict(well, str(condition.get("message") or ""))
    return None


def _as_pytorchjob(run: SelfRewardRun) -> SelfRewardRun:
    training = run.spec.training.model_copy(update={"backend": TrainingBackend.PYTORCHJOB})
    return run.model_copy(update={"spec": run.spec.model_copy(update={"training": training})})
