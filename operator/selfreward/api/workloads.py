"""Resources and placement of the pods, per kind of workload."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, with_config
from selfreward_steps.contract import ContractModel, ObjectName
from typing_extensions import TypedDict

_QUANTITY: Final = r"^[-+]?([0-9]+([.][0-9]*)?|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$"
"""As Kubernetes writes amounts (apimachinery, pkg/api/resource)."""


def _as_text(value: object) -> object:
    return str(value) if type(value) is int else value


Quantity = Annotated[
    str,
    Field(pattern=_QUANTITY, max_length=64),
    BeforeValidator(_as_text),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "pattern": _QUANTITY,
            "maxLength": 64,
        }
    ),
]
"""An amount, kept as text; a whole number needs no quotes, as everywhere in Kubernetes."""
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")]


STANDARD_RESOURCES: Final = frozenset({"cpu", "memory", "ephemeral-storage"})
"""What every container has; all else is a device."""
_ACCELERATOR: Final = re.compile(r"gpu|/mig-|gaudi|/tpu|neuron|/npu", re.IGNORECASE)


def is_accelerator(resource: str) -> bool:
    """Whether a resource is a GPU, part of one, or what other makers call theirs; not every device is."""
    return _ACCELERATOR.search(resource) is not None


class Resources(ContractModel):
    """Kubernetes resource requests and limits. Servers and training get the GPUs they need unless one is named here."""

    requests: dict[str, Quantity] = {}
    """By resource name, such as `cpu: 4`."""
    limits: dict[str, Quantity] = {}
    """By resource name, such as `nvidia.com/gpu: 1`; 0 for none, on processors."""

    @property
    def names_accelerator(self) -> bool:
        """Whether the user has said how many GPUs, of whatever maker, none included."""
        return any(is_accelerator(name) for name in (*self.requests, *self.limits))


@with_config(ConfigDict(extra="forbid"))
class EnvironmentVariable(TypedDict):
    """An entry of a container's `env`."""

    name: Annotated[str, Field(min_length=1)]
    value: NotRequired[str]
    valueFrom: NotRequired[dict[str, Any]]  # Kubernetes' spelling


class Workload(ContractModel):
    """Where pods of one kind run and what they get. Lists and objects are Kubernetes' own, passed through."""

    image: str | None = None
    """Container image; the operator's default for this kind otherwise."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """`Always`, `IfNotPresent` or `Never`."""
    image_pull_secrets: list[ObjectName] = []
    """Names of Secrets."""
    resources: Resources = Resources()
    """Requests and limits of the main container."""
    node_selector: dict[str, LabelValue] = {}
    """Node labels."""
    tolerations: list[dict[str, Any]] = []
    """Tolerations."""
    affinity: dict[str, Any] | None = None
    """Affinity."""
    topology_spread_constraints: list[dict[str, Any]] = []
    """Topology spread."""
    priority_class_name: ObjectName | None = None
    """PriorityClass."""
    runtime_class_name: ObjectName | None = None
    """RuntimeClass."""
    service_account_name: ObjectName | None = None
    """ServiceAccount, for instance one with a cloud identity that may read the bucket."""
    labels: dict[str, LabelValue] = {}
    """More pod labels."""
    annotations: dict[str, str] = {}
    """More pod annotations."""
    env: list[EnvironmentVariable] = []
    """More environment variables (`name`, and `value` or `valueFrom`). Of `serving`, the container that brings the
    model gets those of proxies, certificates and AWS, and the mounts that these lead into."""
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
