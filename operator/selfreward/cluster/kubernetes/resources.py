"""The resource types that the operator reads or writes, and where the API server has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from selfreward.api import GROUP, KIND, PLURAL, VERSION, numbered
from selfreward.render.resource import Resource
from selfreward.render.training import BACKENDS

Object = dict[str, Any]
"""A Kubernetes object as plain data."""
View = Mapping[str, Any]
"""A Kubernetes object that is only read."""


RUNS: Final = Resource(GROUP, VERSION, PLURAL, KIND)
PODS: Final = Resource("", "v1", "pods", "Pod")
SERVICES: Final = Resource("", "v1", "services", "Service")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
EVENTS: Final = Resource("", "v1", "events", "Event")
JOBS: Final = Resource("batch", "v1", "jobs", "Job")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")

ALWAYS: Final = (RUNS, PODS, JOBS, DEPLOYMENTS)
"""Resource types that are watched on every cluster."""
OPTIONAL: Final = tuple(backend.resource for backend in BACKENDS)
"""Workloads that train. Watched where the cluster serves them: a watch on a type without a CRD would never begin."""
WORKLOADS: Final = (JOBS, DEPLOYMENTS, *OPTIONAL)
"""What a run's children are."""

_BY_KIND: Final = {
    (resource.api_version, resource.kind): resource
    for resource in (
        *(RUNS, PODS, SERVICES, JOBS, DEPLOYMENTS),
        *(each for backend in BACKENDS for each in (*backend.brings, backend.resource)),
    )
}


def resource_of(manifest: View) -> Resource:
    """The type of a manifest; raises KeyError for one that the operator has no business with."""
    return _BY_KIND[manifest["apiVersion"], manifest["kind"]]


def name_of(item: View) -> str:
    """The name in an object's metadata."""
    return str(item["metadata"]["name"])


def uid_of(item: View) -> str:
    """The uid in an object's metadata."""
    return str(item["metadata"]["uid"])


def label_of(item: View, name: str) -> str:
    """A label's value; empty when it is absent."""
    return str((item["metadata"].get("labels") or {}).get(name, ""))


def number_of(text: str) -> int:
    """The number that a label or an annotation is; 0 where it is none, since anybody may have written it."""
    return numbered(text) or 0


def version_of(item: View) -> int:
    """resourceVersion as a number. Of one type they grow with every write (KEP-5504: comparable since 1.35; with
    etcd they always were)."""
    return int(item["metadata"].get("resourceVersion") or 0)


def is_going(item: View) -> bool:
    """Whether an object is being deleted."""
    return item["metadata"].get("deletionTimestamp") is not None


def belongs(item: View, namespace: str, run_uid: str) -> bool:
    """Whether the run owns it. Who may create objects may write any label and any owner, in a namespace of his own."""
    metadata = item["metadata"]
    owners = metadata.get("ownerReferences") or []
    return metadata["namespace"] == namespace and any(owner["uid"] == run_uid for owner in owners)


def condition_of(item: View, kind: str) -> View | None:
    """The condition of that type when it is true."""
    for condition in (item.get("status") or {}).get("conditions") or []:
        if condition["type"] == kind and condition["status"] == "True":
            return dict(condition)
    return None
