"""Plain HTTP calls for the tests of the fake itself: no client between the test and what is on the wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from kube import FakeCluster

RUNS: Final = "/apis/selfreward.dev/v1alpha1/namespaces/default/selfrewardruns"
PODS: Final = "/api/v1/namespaces/default/pods"
SECRETS: Final = "/api/v1/namespaces/default/secrets"
CONFIG_MAPS: Final = "/api/v1/namespaces/default/configmaps"
LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
JOBS: Final = "/apis/batch/v1/namespaces/default/jobs"
DEPLOYMENTS: Final = "/apis/apps/v1/namespaces/default/deployments"
PYTORCH_JOBS: Final = "/apis/kubeflow.org/v1/namespaces/default/pytorchjobs"

MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
APPLY: Final = "application/apply-patch+yaml"
STRATEGIC: Final = "application/strategic-merge-patch+json"


@dataclass(frozen=True)
class Answer:
    """A response, read."""

    code: int
    body: Any
    headers: Mapping[str, str]

    @property
    def reason(self) -> str:
        return str(self.body.get("reason", ""))

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    @property
    def version(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])

    @property
    def causes(self) -> list[str]:
        """Fields of the causes."""
        return [cause["field"] for cause in self.body["details"]["causes"]]


class Calls:
    """One client of a cluster."""

    def __init__(self, cluster: FakeCluster, session: aiohttp.ClientSession) -> None:
        self.cluster = cluster
        self._session = session

    async def __call__(
        self, method: str, path: str, body: object = None, content_type: str = "application/json", **query: str
    ) -> Answer:
        """Send one request."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type}
        url = self.cluster.url + path
        async with self._session.request(method, url, data=data, headers=headers, params=query) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return Answer(response.status, json.loads(text) if is_json else text, response.headers)

    async def watch(self, path: str, **query: str) -> AsyncIterator[dict[str, Any]]:
        """The events of a watch until the server ends it."""
        params = {"watch": "true", **query}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.get(self.cluster.url + path, params=params, timeout=timeout) as response:
            assert response.status == 200, await response.text()
            async for line in response.content:
                yield json.loads(line)


@asynccontextmanager
async def calling(folder: Path, **options: Any) -> AsyncIterator[Calls]:
    """A cluster (without controllers unless asked for) and a client of it."""
    async with (
        FakeCluster(folder, **{"controllers": False, **options}) as cluster,
        aiohttp.ClientSession(headers={"User-Agent": "tester/1"}) as session,
    ):
        yield Calls(cluster, session)


def run_manifest(name: str = "demo", **spec: Any) -> dict[str, Any]:
    """A valid SelfRewardRun."""
    valid = {"model": {"uri": "hf://owner/name"}, "seedData": {"instructions": {"uri": "file:///data.jsonl"}}}
    return {
        "apiVersion": "selfreward.dev/v1alpha1",
        "kind": "SelfRewardRun",
        "metadata": {"name": name},
        "spec": valid | spec,
    }


def config_map(name: str = "map", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod_spec(**more: Any) -> dict[str, Any]:
    return {"restartPolicy": "Never", "containers": [{"name": "step", "image": "example/step:1"}]} | more


def pod(name: str = "pod", **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod_spec(**more)}


def job(name: str = "job", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": {"spec": pod_spec()}, **spec},
    }


def owned_by(item: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """metadata.ownerReferences to `item`."""
    reference = {
        "apiVersion": item["apiVersion"],
        "kind": item["kind"],
        "name": item["metadata"]["name"],
        "uid": item["metadata"]["uid"],
    }
    return {"ownerReferences": [reference | more]}
