"""Where workloads run: a cluster, or the processes of this machine. Both do what the same manifests say."""
