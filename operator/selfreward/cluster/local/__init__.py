"""The local cluster: the same manifests, run as processes of this machine.

A Deployment is a served process, a Job or PyTorchJob one process or several, a Service a port on the loopback
interface. It describes no step itself: what a manifest does not say is said by the environment.
"""

from selfreward.cluster.local.cluster import LocalCluster

__all__ = ["LocalCluster"]
