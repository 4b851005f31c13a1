"""Credentials for the API server, of the operator and of the command line, which does without kopf."""

from __future__ import annotations

import os

from kubernetes.aio import config
from kubernetes.aio.client import Configuration


async def load_configuration(kubeconfig: str | None = None, context: str | None = None) -> Configuration:
    """From the service account in a pod, else from a kubeconfig file (KUBECONFIG, ~/.kube/config) and a context of it.

    Raises `kubernetes.aio.config.ConfigException` when there is neither.
    """
    configuration = Configuration()
    # A request is sent once: whoever asked decides whether it is still the right one.
    configuration.retries = None
    if kubeconfig is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
        config.load_incluster_config(client_configuration=configuration)
    else:
        await config.load_kube_config(kubeconfig, context, client_configuration=configuration)
    return configuration
