"""The resource types that the operator reads or writes, and where the API server has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from selfreward.api import GROUP, KIND, PLURAL, VERSION

Object = dict[str, Any]
"""A Kubernetes object as plain data."""
View = Mapping[str, Any]
"""The same, only read."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource type."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """As manifests say it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """The path of one object, or of all in a namespace, or (None) of all there are."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        home = f"/namespaces/{namespace}" if namespace is not None else ""
        return "/".join(part for part in (f"{root}{home}/{self.plural}", name, subresource) if part)


RUNS: Final = Resource(GROUP, VERSION, PLURAL, KIND)
PODS: Final = Resource("", "v1", "pods", "Pod")
SERVICES: Final = Resource("", "v1", "services", "Service")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
EVENTS: Final = Resource("", "v1", "events", "Event")
JOBS: Final = Resource("batch", "v1", "jobs", "Job")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
PYTORCH_JOBS: Final = Resource("kubeflow.org", "v1", "pytorchjobs", "PyTorchJob")
TRAIN_JOBS: Final = Resource("trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob")
TRAINING_RUNTIMES: Final = Resource("trainer.kubeflow.org", "v1alpha1", "trainingruntimes", "TrainingRuntime")

ALWAYS: Final = (RUNS, PODS, JOBS, DEPLOYMENTS)
"""Watched on every cluster."""
OPTIONAL: Final = (PYTORCH_JOBS, TRAIN_JOBS)
"""Watched where the cluster serves them: a watch on a type without a CRD would never begin."""

_BY_KIND: Final = {
    (resource.api_version, resource.kind): resource
    for resource in (RUNS, PODS, SERVICES, JOBS, DEPLOYMENTS, PYTORCH_JOBS, TRAIN_JOBS, TRAINING_RUNTIMES)
}


def resource_of(manifest: View) -> Resource:
    """The type of a manifest; raises KeyError for one that the operator has no business with."""
    return _BY_KIND[manifest["apiVersion"], manifest["kind"]]


def name_of(item: View) -> str:
    """metadata.name."""
    return str(item["metadata"]["name"])


def uid_of(item: View) -> str:
    """metadata.uid."""
    return str(item["metadata"]["uid"])


def label_of(item: View, name: str) -> str:
    """A label's value; empty when it is absent."""
    return str((item["metadata"].get("labels") or {}).get(name, ""))


def version_of(item: View) -> int:
    """resourceVersion as a number. Of one type they grow with every write (KEP-5504: comparable since 1.35; with
    etcd they always were)."""
    return int(item["metadata"].get("resourceVersion") or 0)


def is_going(item: View) -> bool:
    """Whether it is being deleted."""
    return item["metadata"].get("deletionTimestamp") is not None


def condition_of(item: View, kind: str) -> View | None:
    """The condition of that type when it is true."""
    for condition in (item.get("status") or {}).get("conditions") or []:
        if condition["type"] == kind and condition["status"] == "True":
            return dict(condition)
    return None
