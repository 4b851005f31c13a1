"""Plain HTTP calls for the tests of an API server: no client between the test and what is on the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from selfreward.api import PAUSED

from kube import FakeCluster
from kube.kinds import BY_NAME

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

HEADERS: Final = {"User-Agent": "tester/1"}
GIVEN: Final = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt"})
"""ConfigMaps that a real cluster puts into every namespace; nothing is told of them."""


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
    """One client of an API server.

    In paths and manifests `default` and `research` stand for the two namespaces that a test has to itself.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, namespaces: Mapping[str, str]) -> None:
        self._session = session
        self._url = url
        self._namespaces = namespaces

    @property
    def namespace(self) -> str:
        """What `default` stands for."""
        return self._namespaces["default"]

    async def __call__(
        self, method: str, path: str, body: object = None, content_type: str = "application/json", **query: str
    ) -> Answer:
        """Send one request."""
        data = None if body is None else json.dumps(self._at_home(body))
        headers = {"Content-Type": content_type}
        async with self._session.request(method, self._at(path), data=data, headers=headers, params=query) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return Answer(response.status, json.loads(text) if is_json else text, response.headers)

    async def watch(self, path: str, **query: str) -> AsyncIterator[dict[str, Any]]:
        """The events of a watch until the server ends it."""
        params = {"watch": "true", **query}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.get(self._at(path), params=params, timeout=timeout) as response:
            assert response.status == 200, await response.text()
            async for line in response.content:
                event = json.loads(line)
                if event["object"].get("metadata", {}).get("name") not in GIVEN:
                    yield event

    async def create(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create what nobody may refuse."""
        answer = await self("POST", _path(manifest["kind"]), manifest)
        assert answer.code == 201, answer.body
        return dict(answer.body)

    async def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """The object; None when there is none."""
        answer = await self("GET", _path(kind, name))
        assert answer.code in (200, 404), answer.body
        return answer.body if answer.code == 200 else None

    async def edit(self, kind: str, name: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Read the object, change it in place, put it back."""
        found = (await self("GET", _path(kind, name))).body
        change(found)
        answer = await self("PUT", _path(kind, name), found)
        assert answer.code == 200, answer.body

    async def delete(self, kind: str, name: str) -> None:
        """Delete, by the kind's own default policy."""
        answer = await self("DELETE", _path(kind, name))
        assert answer.code in (200, 202), answer.body

    async def names(self, kind: str) -> list[str]:
        """Names of the namespace's objects, as the server sorts them."""
        items = (await self("GET", _path(kind))).body["items"]
        return [item["metadata"]["name"] for item in items if item["metadata"]["name"] not in GIVEN]

    async def revision(self) -> str:
        """The newest resourceVersion."""
        return (await self("GET", CONFIG_MAPS)).version

    async def idle(self, seconds: float) -> None:
        """Let time pass, which is virtual where the server is."""
        await asyncio.sleep(seconds)

    async def until_gone(self, kind: str, name: str) -> None:
        """Wait for whoever deletes it; AssertionError after ten seconds."""
        for _ in range(100):
            if await self.get(kind, name) is None:
                return
            await self.idle(0.1)
        raise AssertionError(f"{kind} {name} is still there")

    def _at(self, path: str) -> str:
        head, found, rest = path.partition("/namespaces/")
        name, slash, rest = rest.partition("/")
        return self._url + head + found + self._namespaces.get(name, name) + slash + rest

    def _at_home(self, body: object) -> object:
        metadata = body.get("metadata") if isinstance(body, Mapping) else None
        if not isinstance(body, Mapping) or not isinstance(metadata, Mapping) or "namespace" not in metadata:
            return body
        name = self._namespaces.get(metadata["namespace"], metadata["namespace"])
        return {**body, "metadata": {**metadata, "namespace": name}}


def _path(kind: str, name: str = "") -> str:
    found = BY_NAME[kind]
    return f"{found.path}/namespaces/default/{found.plural}" + (f"/{name}" if name else "")


Serve = Callable[..., AbstractAsyncContextManager[Calls]]
"""The fixture `server`: an API server and a client of it, to be entered in the test. Ours collects garbage and runs
pods when called with `controllers=True`; a real one always does."""


class FakeCalls(Calls):
    """A client of a fake cluster, which is at hand too."""

    def __init__(self, session: aiohttp.ClientSession, cluster: FakeCluster) -> None:
        super().__init__(session, cluster.url, {"default": "default", "research": "research"})
        self.cluster = cluster


@asynccontextmanager
async def calling(folder: Path, **options: Any) -> AsyncIterator[FakeCalls]:
    """A cluster (without controllers unless asked for) and a client of it."""
    async with (
        FakeCluster(folder, **{"controllers": False, **options}) as cluster,
        aiohttp.ClientSession(headers=HEADERS) as session,
    ):
        yield FakeCalls(session, cluster)


def run_manifest(name: str = "demo", **spec: Any) -> dict[str, Any]:
    """A valid SelfRewardRun; an operator that a real cluster may have leaves it alone."""
    valid = {"model": {"uri": "hf://owner/name"}, "seedData": {"instructions": {"uri": "file:///data.jsonl"}}}
    return {
        "apiVersion": "selfreward.dev/v1alpha1",
        "kind": "SelfRewardRun",
        "metadata": {"name": name, "annotations": {PAUSED: "true"}},
        "spec": valid | spec,
    }


def config_map(name: str = "map", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def secret(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}


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
