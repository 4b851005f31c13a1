"""The suite of `make test-cluster`: a whole operator on a real cluster, seen as `kubectl` sees it.

It installs the chart, an S3 server and a few tiny runs in namespaces of its own, and asks of the cluster nothing but
what an administrator's kubeconfig may ask. It must not look into the operator's process or the machines below it, but
for one thing: where that process happens to run on this very machine, it can be killed outright.
"""
