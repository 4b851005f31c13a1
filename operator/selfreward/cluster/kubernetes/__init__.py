"""Kubernetes: children are Jobs, Deployments and training jobs, seen through watches, lists and pod logs.

Layers within, lower first: errors and resources; client; cache; the pure reading of pods and workloads; the cluster.
"""

from selfreward.cluster.kubernetes.cache import Cache
from selfreward.cluster.kubernetes.client import KubernetesClient
from selfreward.cluster.kubernetes.cluster import KubernetesCluster
from selfreward.cluster.kubernetes.errors import Conflict, KubernetesError, NotFound, Occupied, Refused, Unavailable

__all__ = [
    "Cache",
    "Conflict",
    "KubernetesClient",
    "KubernetesCluster",
    "KubernetesError",
    "NotFound",
    "Occupied",
    "Refused",
    "Unavailable",
]
