"""The table of kinds: where each is found, and in which of the API server's habits it differs.

Sources: each kind's `strategy.go` under kubernetes/kubernetes `pkg/registry`, and for the default propagation
`batch/v1` jobs' `DefaultGarbageCollectionPolicy`, which still orphans.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Propagation(StrEnum):
    """What becomes of an object's dependents."""

    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


@dataclass(frozen=True)
class Kind:
    """One resource type."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    has_status: bool = False
    """Whether there is a /status subresource, and with it isolation of status from spec."""
    has_generation: bool = False
    is_custom: bool = False
    """Of a CRD: no strategic merge patch, kind and apiVersion on list items, a resourceVersion needed by PUT."""
    unconditional_update: bool = True
    """Whether PUT may leave out the resourceVersion."""
    create_on_update: bool = False
    """Whether PUT to an absent name creates it."""
    graceful: bool = False
    """Whether deletion waits for a grace period (pods)."""
    returns_deleted: bool = False
    """Whether DELETE answers with the object rather than with a Status."""
    default_propagation: Propagation = Propagation.BACKGROUND
    extra_subresources: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """`jobs.batch`, as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def path(self) -> str:
        """The path of its group and version."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"


def _workload(group: str, version: str, plural: str, kind: str, **habits: object) -> Kind:
    return Kind(group, version, plural, kind, has_status=True, has_generation=True, **habits)  # type: ignore[arg-type]


def _custom(group: str, version: str, plural: str, kind: str, **habits: object) -> Kind:
    return _workload(group, version, plural, kind, is_custom=True, unconditional_update=False, **habits)


SELF_REWARD_RUN: Final = _custom(
    "selfreward.dev",
    "v1alpha1",
    "selfrewardruns",
    "SelfRewardRun",
    short_names=("srr",),
    categories=("all", "selfreward"),
)
POD: Final = _workload("", "v1", "pods", "Pod", graceful=True, returns_deleted=True, extra_subresources=("log",))
JOB: Final = _workload("batch", "v1", "jobs", "Job", default_propagation=Propagation.ORPHAN)
SERVICE: Final = Kind("", "v1", "services", "Service", has_status=True, returns_deleted=True)
PYTORCH_JOB: Final = _custom("kubeflow.org", "v1", "pytorchjobs", "PyTorchJob")
TRAIN_JOB: Final = _custom("trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob")

KINDS: Final[tuple[Kind, ...]] = (
    SELF_REWARD_RUN,
    POD,
    JOB,
    SERVICE,
    PYTORCH_JOB,
    TRAIN_JOB,
    Kind(
        "trainer.kubeflow.org",
        "v1alpha1",
        "trainingruntimes",
        "TrainingRuntime",
        has_generation=True,
        is_custom=True,
        unconditional_update=False,
    ),
    Kind(
        "trainer.kubeflow.org",
        "v1alpha1",
        "clustertrainingruntimes",
        "ClusterTrainingRuntime",
        namespaced=False,
        has_generation=True,
        is_custom=True,
        unconditional_update=False,
    ),
    _workload("apps", "v1", "deployments", "Deployment", short_names=("deploy",)),
    _workload("apps", "v1", "replicasets", "ReplicaSet", short_names=("rs",)),
    Kind("", "v1", "secrets", "Secret"),
    Kind("", "v1", "configmaps", "ConfigMap", short_names=("cm",)),
    Kind("", "v1", "events", "Event", create_on_update=True),
    Kind("", "v1", "serviceaccounts", "ServiceAccount", returns_deleted=True),
    Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", has_status=True, returns_deleted=True),
    Kind("", "v1", "namespaces", "Namespace", namespaced=False, has_status=True),
    Kind("resource.k8s.io", "v1", "resourceclaims", "ResourceClaim", has_status=True),
    _custom("kueue.x-k8s.io", "v1beta2", "workloads", "Workload"),
    _custom("kueue.x-k8s.io", "v1beta2", "resourceflavors", "ResourceFlavor", namespaced=False),
    _custom("kueue.x-k8s.io", "v1beta2", "workloadpriorityclasses", "WorkloadPriorityClass", namespaced=False),
    Kind("coordination.k8s.io", "v1", "leases", "Lease", unconditional_update=False, create_on_update=True),
    Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", has_generation=True),
    _workload(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        namespaced=False,
        unconditional_update=False,
        short_names=("crd",),
    ),
)

BY_NAME: Final = {kind.kind: kind for kind in KINDS}
