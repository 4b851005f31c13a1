"""A real API server for the tests of ours: what both must pass is known to be true of a cluster.

`REAL_API_SERVER` names a kubeconfig with an administrator's rights. Every test gets two namespaces of its own,
deleted at its end; our CRD is created for the session where it is absent.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from kube.calls import HEADERS, Calls

VARIABLE: Final = "REAL_API_SERVER"
CRD: Final = Path(__file__).parents[2] / "crds" / "selfreward.dev_selfrewardruns.yaml"
CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAMESPACES: Final = "/api/v1/namespaces"


def kubeconfig() -> str:
    """The kubeconfig of the server to test against; empty for none."""
    return os.environ.get(VARIABLE, "")


@asynccontextmanager
async def calling_the_real_server(*, controllers: bool = True) -> AsyncIterator[Calls]:
    """A client with two new namespaces. A real cluster's controllers run whatever `controllers` says."""
    async with _client({}) as admin:
        names = {name: await _namespace(admin, name) for name in ("default", "research")}
        try:
            async with _client(names) as calls:
                yield calls
        finally:
            for name in names.values():
                await admin("DELETE", f"{NAMESPACES}/{name}")


async def install_crd() -> bool:
    """Create our CRD; returns False when there is one."""
    async with _client({}) as admin:
        answer = await admin("POST", CRDS, yaml.safe_load(CRD.read_text(encoding="utf-8")))
        assert answer.code in (201, 409), answer.body
        await _until(admin, "/apis/selfreward.dev/v1alpha1/selfrewardruns", 200)
    return answer.code == 201


async def remove_crd() -> None:
    """Delete our CRD and every run with it."""
    async with _client({}) as admin:
        await admin("DELETE", f"{CRDS}/selfrewardruns.selfreward.dev")


@asynccontextmanager
async def _client(namespaces: Mapping[str, str]) -> AsyncIterator[Calls]:
    configuration = kubernetes_client.Configuration()
    await kubernetes_config.load_kube_config(kubeconfig(), client_configuration=configuration)
    connector = aiohttp.TCPConnector(ssl=_tls(configuration))
    token = configuration.api_key.get("BearerToken")
    headers = {**HEADERS, **({"Authorization": token} if token else {})}
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        yield Calls(session, configuration.host, namespaces)


def _tls(configuration: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if not configuration.verify_ssl:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context


async def _namespace(admin: Calls, name: str) -> str:
    """A new namespace, once pods can be created there."""
    answer = await admin("POST", NAMESPACES, {"metadata": {"generateName": f"selfreward-{name}-"}})
    assert answer.code == 201, answer.body
    made = str(answer.body["metadata"]["name"])
    await _until(admin, f"{NAMESPACES}/{made}/serviceaccounts/default", 200)
    return made


async def _until(admin: Calls, path: str, code: int) -> None:
    for _ in range(300):
        if (await admin("GET", path)).code == code:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{path} does not answer {code}")
