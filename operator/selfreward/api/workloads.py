"""Resources and placement of the pods, per kind of workload."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from selfreward_steps.contract import ContractModel


class Resources(ContractModel):
    """Kubernetes resource requests and limits."""

    requests: dict[str, str] = {}
    """By resource name, such as `cpu: "4"`."""
    limits: dict[str, str] = {}
    """By resource name, such as `nvidia.com/gpu: "1"`."""


class Workload(ContractModel):
    """Where pods of one kind run and what they get. Lists and objects are Kubernetes' own, passed through."""

    image: str | None = None
    """Container image; the operator's default for this kind otherwise."""
    image_pull_policy: str | None = None
    """`Always`, `IfNotPresent` or `Never`."""
    image_pull_secrets: list[str] = []
    """Names of Secrets."""
    resources: Resources = Resources()
    """Requests and limits of the main container."""
    node_selector: dict[str, str] = {}
    """Node labels."""
    tolerations: list[dict[str, Any]] = []
    """Tolerations."""
    affinity: dict[str, Any] | None = None
    """Affinity."""
    topology_spread_constraints: list[dict[str, Any]] = []
    """Topology spread."""
    priority_class_name: str | None = None
    """PriorityClass."""
    runtime_class_name: str | None = None
    """RuntimeClass."""
    service_account_name: str | None = None
    """ServiceAccount, for instance one with a cloud identity that may read the bucket."""
    labels: dict[str, str] = {}
    """More pod labels."""
    annotations: dict[str, str] = {}
    """More pod annotations."""
    env: list[dict[str, Any]] = []
    """More environment variables (`name`, and `value` or `valueFrom`)."""
    volumes: list[dict[str, Any]] = []
    """More volumes."""
    volume_mounts: list[dict[str, Any]] = []
    """More mounts of the main container."""
    termination_grace_period_seconds: Annotated[int, Field(ge=0)] = 60
    """Time between SIGTERM and SIGKILL."""


class Workloads(ContractModel):
    """Placement per kind of workload."""

    serving: Workload = Workload()
    """The vLLM Deployments."""
    generation: Workload = Workload()
    """The clients that write prompts and candidates, judge and evaluate. They need no GPU."""
    training: Workload = Workload()
    """SFT and DPO."""
    processing: Workload = Workload()
    """Import, and building preference pairs."""
