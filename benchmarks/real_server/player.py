"""A stand-in for scheduler, kubelet and training operator: pods are bound, run, commit what their step must, and end.

Jobs, Deployments, garbage and service accounts are the real controllers'. What a step commits are the tests' simulated
artifacts (real commits under the real digests). A log has one progress line, written when it is asked for.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web
from kube.simulators.artifacts import SimulatedStep
from selfreward.render.metadata import KEY, MODEL, RUN
from servers import PLAYER, Servers, unverified

Object = dict[str, Any]
NODE: Final = "node"
INDEX: Final = "batch.kubernetes.io/job-completion-index"
_JOBS: Final = "/apis/kubeflow.org/v1/pytorchjobs"
_MERGE: Final = "application/merge-patch+json"
RUNS_SECONDS: Final = 0.5
"""How long a step's pod runs."""
_WATCHED: Final = {
    "pod": "/api/v1/pods",
    "job": "/apis/batch/v1/jobs",
    "deployment": "/apis/apps/v1/deployments",
    "training": _JOBS,
}
_HANDS_OFF: Final = ("import", "prompts", "judge", "dpo")
"""Steps whose success lets the run's next child begin at once: after all others something else must happen first."""


class Player:
    """Plays every pod of the runs; `holds` says which pods run for ever."""

    def __init__(self, servers: Servers, holds: Callable[[str, str, int], bool], times: Callable[[str], bool]) -> None:
        """`holds` is asked with run, step's key and shard; hand-offs are timed of runs for which `times` is true."""
        self._servers = servers
        self._holds = holds
        self._times = times
        self._session: aiohttp.ClientSession | None = None
        self._seen: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._succeeded_at: dict[str, float] = {}
        self.handoffs: list[float] = []
        """Seconds from a step's success, as the API server has taken it, to the run's next child, as it tells of it."""
        self.children: dict[str, set[str]] = {}
        """Uids of the workloads that there were of each run."""

    async def run(self, ready: asyncio.Event) -> None:
        """Play until cancelled."""
        headers = {"Authorization": f"Bearer {self._servers.tokens[PLAYER]}"}
        connector = aiohttp.TCPConnector(ssl=unverified(), limit=64)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with aiohttp.ClientSession(headers=headers, connector=connector, timeout=timeout) as self._session:
            port = await self._serve_logs()
            await self._make_node(port)
            ready.set()
            async with asyncio.TaskGroup() as tasks:
                for kind, path in _WATCHED.items():
                    tasks.create_task(self._watch(kind, path))

    async def _watch(self, kind: str, path: str) -> None:
        version = "0"
        while True:
            async for event in self._events(path, version):
                item = event["object"]
                if event["type"] == "ERROR":
                    # Its place in the history is forgotten; what is there is told again.
                    print(kind, item.get("message"), flush=True)
                    version = "0"
                    await asyncio.sleep(1)
                    break
                version = item["metadata"]["resourceVersion"]
                self._tell(kind, event["type"], item)

    async def _events(self, path: str, version: str) -> AsyncIterator[Object]:
        assert self._session is not None
        query = {"watch": "1", "resourceVersion": version, "labelSelector": RUN}
        async with self._session.get(self._servers.url + path, params=query) as answer:
            buffer = b""
            async for chunk in answer.content.iter_any():
                buffer += chunk
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    yield json.loads(line)

    def _tell(self, kind: str, what: str, item: Object) -> None:
        uid, run = item["metadata"]["uid"], item["metadata"]["labels"][RUN]
        if kind == "pod":
            if what != "DELETED" and item["metadata"].get("deletionTimestamp"):
                self._once(f"{uid}/going", self._let_go(item))
            elif what != "DELETED":
                self._once(uid, self._live(item))
            return
        if uid not in self.children.setdefault(run, set()):
            self.children[run].add(uid)
            began = self._succeeded_at.pop(run, None)
            if began is not None:
                self.handoffs.append(time.monotonic() - began)
        if kind == "training" and what == "ADDED":
            self._once(uid, self._train(item))

    def _once(self, key: str, work: Awaitable[None]) -> None:
        if key in self._seen:
            work.close()  # type: ignore[attr-defined]
            return
        self._seen.add(key)
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            traceback.print_exception(error)

    async def _live(self, pod: Object) -> None:
        """One pod from its creation to its end."""
        labels = pod["metadata"]["labels"]
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]}}
        await self._send("POST", _of(pod, "binding"), {**binding, "target": {"kind": "Node", "name": NODE}})
        began = _now()
        await self._put_status(pod, "Running", {"running": {"startedAt": began}}, ready=True)
        if labels.get(MODEL):
            return
        run, key, shard = labels[RUN], labels[KEY], int((pod["metadata"].get("annotations") or {}).get(INDEX, 0))
        if self._holds(run, key, shard):
            return
        await asyncio.sleep(RUNS_SECONDS)
        environment = {each["name"]: each.get("value", "") for each in pod["spec"]["containers"][0].get("env", [])}
        step = SimulatedStep(environment["SELFREWARD_CONFIG"], shard if INDEX in _annotations(pod) else None, ())
        await step.wait_for_inputs()
        result = await asyncio.to_thread(step.commit, {})
        message = json.dumps(json.loads(result.model_dump_json(by_alias=True, exclude_none=True)))
        ended = {"exitCode": 0, "reason": "Completed", "startedAt": began, "finishedAt": _now(), "message": message}
        if self._times(run) and key.split("-")[0] in _HANDS_OFF and not self._is_more_to_come(step):
            self._succeeded_at[run] = time.monotonic()
        await self._put_status(pod, "Succeeded", {"terminated": ended}, ready=False)

    @staticmethod
    def _is_more_to_come(step: SimulatedStep) -> bool:
        """Whether it is one of several shards and not the last."""
        return step.shard is not None and step.shard + 1 < (step.config.shards or 1)

    async def _train(self, job: Object) -> None:
        """A PyTorchJob's one pod, and its verdict."""
        metadata = job["metadata"]
        (replica,) = job["spec"]["pytorchReplicaSpecs"].values()
        template = replica["template"]
        owner = {
            "apiVersion": "kubeflow.org/v1",
            "kind": "PyTorchJob",
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template["metadata"],
                "name": f"{metadata['name']}-master-0",
                "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
            },
            "spec": {**template["spec"], "restartPolicy": "Never"},
        }
        made = await self._send("POST", f"/api/v1/namespaces/{metadata['namespace']}/pods", pod)
        await self._live_once(made)
        now = _now()
        condition = {"type": "Succeeded", "status": "True", "reason": "PyTorchJobSucceeded", "message": "done"}
        conditions = [{**condition, "lastTransitionTime": now, "lastUpdateTime": now}]
        path = f"/apis/kubeflow.org/v1/namespaces/{metadata['namespace']}/pytorchjobs/{metadata['name']}/status"
        await self._send("PATCH", path, {"status": {"conditions": conditions, "completionTime": now}}, _MERGE)

    async def _live_once(self, pod: Object) -> None:
        if pod["metadata"]["uid"] not in self._seen:
            self._seen.add(pod["metadata"]["uid"])
            await self._live(pod)

    async def _let_go(self, pod: Object) -> None:
        await self._send("DELETE", _of(pod), {"gracePeriodSeconds": 0})

    async def _put_status(self, pod: Object, phase: str, state: Object, *, ready: bool) -> None:
        now, container = _now(), pod["spec"]["containers"][0]
        told = "True" if ready else "False"
        status = {
            "phase": phase,
            "startTime": now,
            "podIP": "127.0.0.1",
            "conditions": [
                {"type": kind, "status": told, "lastTransitionTime": now} for kind in ("Ready", "ContainersReady")
            ],
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": "none",
                    "ready": ready,
                    "started": ready,
                    "restartCount": 0,
                    "state": state,
                }
            ],
        }
        await self._send("PATCH", _of(pod, "status"), {"status": status}, _MERGE)

    async def _send(self, method: str, path: str, body: Object, kind: str = "application/json") -> Object:
        assert self._session is not None
        async with self._session.request(
            method, self._servers.url + path, data=json.dumps(body), headers={"Content-Type": kind}
        ) as answer:
            found: Object = await answer.json()
            if answer.status >= 400 and answer.status != 404:
                print(f"{method} {path}: {answer.status} {found.get('message')}", flush=True)
            return found

    async def _serve_logs(self) -> int:
        """Answer as a kubelet does, to the API server; returns the port."""
        folder = self._servers.folder
        subject = ["-subj", "/CN=node", "-days", "2", "-nodes", "-newkey", "rsa:2048"]
        files = ["-keyout", str(folder / "kubelet.key"), "-out", str(folder / "kubelet.crt")]
        subprocess.run(["openssl", "req", "-x509", *subject, *files], check=True, capture_output=True)
        context = _own_certificate(folder)
        app = web.Application()
        app.router.add_get("/containerLogs/{rest:.*}", _log)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        return int(runner.addresses[0][1])

    async def _make_node(self, port: int) -> None:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
        await self._send("POST", "/api/v1/nodes", node)
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": ""}],
        }
        await self._send("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": status}, _MERGE)


async def _log(request: web.Request) -> web.Response:
    stamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return web.Response(text=f'{stamp} {{"kind":"progress","done":1,"total":4,"unit":"prompts","metrics":{{}}}}\n')


def _own_certificate(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "kubelet.crt", folder / "kubelet.key")
    return context


def _of(pod: Object, part: str = "") -> str:
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
    return f"{path}/{part}" if part else path


def _annotations(pod: Object) -> Object:
    return pod["metadata"].get("annotations") or {}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
