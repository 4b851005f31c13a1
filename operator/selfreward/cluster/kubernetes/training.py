"""The choice of a training backend on a cluster, of those that it serves."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from selfreward.api import SelfRewardRun, TrainingBackend
from selfreward.cluster.kubernetes.errors import Refused
from selfreward.plan import ChildKind, Graph, RunEvent
from selfreward.plan.types import EventReason
from selfreward.render.metadata import QUEUE, queue_labels
from selfreward.render.resource import Resource
from selfreward.render.training import TRAINJOB, Backend, wanted_backends


def choose(wanted: TrainingBackend, served: Collection[Resource]) -> Backend:
    """The backend that the run asks for; where it leaves the choice, the first that the cluster serves.

    Raises Refused when there is none: somebody must install it, and then the run goes on.
    """
    candidates = wanted_backends(wanted)
    for backend in candidates:
        if backend.resource in served:
            return backend
    kinds = [backend.resource.kind for backend in candidates]
    lacks = f"does not serve {kinds[0]}" if len(kinds) == 1 else f"serves neither {' nor '.join(kinds)}"
    install = " or ".join(backend.install for backend in candidates)
    message = f"spec.training.backend: {wanted}: the cluster {lacks}: {install}"
    raise Refused(message, reason="TrainingOperatorMissing")


def cautions(run: SelfRewardRun, graph: Graph, served: Collection[Resource]) -> Iterator[RunEvent]:
    """What will be in the way of training, said when the run begins rather than hours later when training is next."""
    if not any(node.kind is ChildKind.TRAINING for node in graph.nodes):
        return
    try:
        backend = choose(run.spec.training.backend, served)
    except Refused as error:
        yield RunEvent(EventReason.TRAINING_OPERATOR_MISSING, str(error), warning=True)
        return
    queue = queue_labels(run).get(QUEUE)
    if queue and backend.kueue_framework is not None:
        message = (
            f"Kueue manages {backend.resource.kind}s only where {backend.kueue_framework} is among its "
            f"integrations.frameworks, which it is not by default: otherwise training does not wait in queue {queue}; "
            f"training.backend: {TRAINJOB.name} does"
        )
        yield RunEvent(EventReason.QUEUE_MAY_NOT_APPLY, message, warning=True)
