"""Check of an installation, `python -m selfreward.control.installed`: what `helm test` runs.

With the operator's rights it lists runs, for which the CRD, the rights and the API server must be there, and it asks
the operator whether it is ready.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

import aiohttp
from kubernetes.aio.client import ApiClient

from selfreward.cluster.kubernetes import KubernetesClient, KubernetesError
from selfreward.cluster.kubernetes.resources import RUNS
from selfreward.control.credentials import load_configuration

_SECONDS = 10


async def faults(client: KubernetesClient, namespaces: Sequence[str], url: str) -> list[str]:
    """What is wrong with the installation, a line each; nothing when it works. An empty `url` is not asked."""
    found = []
    scopes: Sequence[str | None] = namespaces or [None]
    for namespace in scopes:
        try:
            await client.list(RUNS, namespace)
        except KubernetesError as error:
            found.append(f"runs of {namespace or 'all namespaces'} cannot be listed: {error}")
    if url and (unready := await _unready(url)):
        found.append(unready)
    return found


async def _unready(url: str) -> str:
    # Not through a proxy: the Service is in the cluster.
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session,
            session.get(url) as answer,
        ):
            return "" if answer.status == 200 else f"{url}: answered {answer.status}: {await answer.text()}"
    except (aiohttp.ClientError, TimeoutError) as error:
        return f"{url}: {error or type(error).__name__}"


async def _check(namespaces: Sequence[str], url: str) -> int:
    async with ApiClient(await load_configuration()) as api:
        found = await faults(KubernetesClient(api), namespaces, url)
    for line in found:
        print(line)
    if not found:
        print("The operator is ready, and runs can be listed.")
    return 1 if found else 0


def main() -> int:
    """The exit code: 0 when the installation works."""
    parser = argparse.ArgumentParser(prog="python -m selfreward.control.installed", description=__doc__)
    parser.add_argument("--namespaces", default="", help="comma-separated namespaces; all of them when empty")
    parser.add_argument("--url", default="", help="address that answers when the operator is ready")
    given = parser.parse_args()
    return asyncio.run(_check([each for each in given.namespaces.split(",") if each], given.url))


if __name__ == "__main__":
    sys.exit(main())
