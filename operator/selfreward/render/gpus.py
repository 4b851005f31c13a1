"""The number of GPUs that a run's pods ask for."""

from __future__ import annotations

from selfreward.api import SelfRewardRunSpec, Workload
from selfreward.api.workloads import is_accelerator
from selfreward.plan import ChildKind, Node


def gpus_of_step(spec: SelfRewardRunSpec, node: Node) -> int:
    """GPUs of the step's own pods: training has some, clients of a server none unless they ask."""
    workloads, training = spec.workloads, spec.training
    if node.kind is ChildKind.TRAINING:
        return training.nodes * _asked(workloads.training, training.processes_per_node)
    return _asked(workloads.generation if node.serving is not None else workloads.processing, 0)


def gpus_of_server(spec: SelfRewardRunSpec) -> int:
    """GPUs of all servers of one model together."""
    return spec.serving.replicas * _asked(spec.workloads.serving, spec.serving.tensor_parallel)


def _asked(workload: Workload, default: int) -> int:
    """GPUs of a pod: what its resources name; `default` when they name none, as rendering does."""
    resources = workload.resources
    if not resources.names_accelerator:
        return default
    named = resources.requests | resources.limits
    return sum(int(quantity) for name, quantity in named.items() if is_accelerator(name) and quantity.isdigit())
