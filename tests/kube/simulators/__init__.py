"""The controllers and the kubelet that make a cluster live: what they do to objects, pods and the artifact store."""
