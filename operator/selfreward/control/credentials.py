"""The operator's credentials for the API server, for its own client and for kopf's watches alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import kopf
from kubernetes.aio import config
from kubernetes.aio.client import Configuration

_TOKEN_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


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


def kopf_login(configuration: Configuration) -> kopf.ConnectionInfo:
    """The same for kopf, which asks again when its token was refused: a service account's is rotated on disk."""
    scheme, _, token = str((configuration.api_key or {}).get("BearerToken", "")).partition(" ")
    if _TOKEN_FILE.exists() and token:
        token = _TOKEN_FILE.read_text(encoding="utf-8").strip()
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=scheme or None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )
