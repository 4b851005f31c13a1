"""Places where workloads run: Kubernetes, or the processes of this machine. Both do what the same manifests say."""
