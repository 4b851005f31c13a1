"""The API server as an administrator asks it: plain objects by kind and name, no cache, no retries."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kubernetes.aio.client import ApiClient

Object = dict[str, Any]
_TIMEOUT: Final = 60.0
_PLACES: Final[Mapping[str, tuple[str, str]]] = {
    "Namespace": ("api/v1", "namespaces"),
    "Node": ("api/v1", "nodes"),
    "Pod": ("api/v1", "pods"),
    "Secret": ("api/v1", "secrets"),
    "Service": ("api/v1", "services"),
    "ConfigMap": ("api/v1", "configmaps"),
    "Event": ("api/v1", "events"),
    "ResourceQuota": ("api/v1", "resourcequotas"),
    "ValidatingAdmissionPolicy": ("apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicies"),
    "ValidatingAdmissionPolicyBinding": ("apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings"),
    "Job": ("apis/batch/v1", "jobs"),
    "Deployment": ("apis/apps/v1", "deployments"),
    "ResourceClaim": ("apis/resource.k8s.io/v1", "resourceclaims"),
    "ReplicaSet": ("apis/apps/v1", "replicasets"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "Lease": ("apis/coordination.k8s.io/v1", "leases"),
    "PyTorchJob": ("apis/kubeflow.org/v1", "pytorchjobs"),
    "ResourceFlavor": ("apis/kueue.x-k8s.io/v1beta2", "resourceflavors"),
    "ClusterQueue": ("apis/kueue.x-k8s.io/v1beta2", "clusterqueues"),
    "LocalQueue": ("apis/kueue.x-k8s.io/v1beta2", "localqueues"),
    "Workload": ("apis/kueue.x-k8s.io/v1beta2", "workloads"),
    "WorkloadPriorityClass": ("apis/kueue.x-k8s.io/v1beta2", "workloadpriorityclasses"),
    "SelfRewardRun": ("apis/selfreward.dev/v1alpha1", "selfrewardruns"),
    "CustomResourceDefinition": ("apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "SubjectAccessReview": ("apis/authorization.k8s.io/v1", "subjectaccessreviews"),
}


class ApiError(Exception):
    """The server said no."""

    def __init__(self, code: int, status: Object) -> None:
        super().__init__(f"{code} {status.get('reason', '')}: {status.get('message', '')}")
        self.code = code
        self.causes: list[Object] = (status.get("details") or {}).get("causes") or []


@dataclass(frozen=True)
class Api:
    """Verbs on objects; `namespace` None for those that have none, or for all namespaces of a list."""

    client: ApiClient

    async def get(self, kind: str, namespace: str | None, name: str, subresource: str = "") -> Object | None:
        """The object as it is now; None when there is none."""
        try:
            return json.loads(await self._send("GET", _path(kind, namespace, name, subresource)))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def list(self, kind: str, namespace: str | None, labels: str = "") -> list[Object]:
        """All objects that the selector lets through; none when the cluster does not serve the kind."""
        query = {"labelSelector": labels} if labels else {}
        try:
            page = json.loads(await self._send("GET", _path(kind, namespace), query))
        except ApiError as error:
            if error.code == 404:
                return []
            raise
        items: list[Object] = page["items"]
        return items

    async def create(self, manifest: Object, *, dry_run: bool = False) -> Object:
        """Create; with `dry_run` only ask whether it could be."""
        query = {"dryRun": "All"} if dry_run else {}
        path = _path(manifest["kind"], manifest["metadata"].get("namespace"))
        return json.loads(await self._send("POST", path, query, manifest))

    async def apply(self, manifest: Object) -> Object:
        """Server-side apply."""
        metadata = manifest["metadata"]
        path = _path(manifest["kind"], metadata.get("namespace"), metadata["name"])
        query = {"fieldManager": "selfreward-suite", "force": "true"}
        return json.loads(await self._send("PATCH", path, query, manifest, "application/apply-patch+yaml"))

    async def merge(
        self,
        kind: str,
        namespace: str | None,
        name: str,
        patch: Object,
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Merge-patch."""
        query = {"dryRun": "All"} if dry_run else {}
        path = _path(kind, namespace, name, subresource)
        return json.loads(await self._send("PATCH", path, query, patch, "application/merge-patch+json"))

    async def delete(
        self, kind: str, namespace: str | None, name: str, *, grace: int | None = None, propagation: str = "Background"
    ) -> None:
        """Delete; nothing happens when it is gone."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            await self._send("DELETE", _path(kind, namespace, name), {}, options)
        except ApiError as error:
            if error.code != 404:
                raise

    async def log(self, namespace: str, pod: str) -> str:
        """What the pod's only container has printed."""
        return await self._send("GET", _path("Pod", namespace, pod, "log"))

    async def ask_pod(self, namespace: str, pod: str, port: int, path: str) -> str:
        """GET from a pod, by way of the API server."""
        return await self._send("GET", f"{_path('Pod', namespace, f'{pod}:{port}', 'proxy')}/{path}")

    async def table(self, kind: str, namespace: str) -> list[dict[str, Any]]:
        """Rows as `kubectl get` prints them: cells by column."""
        accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
        table = json.loads(await self._send("GET", _path(kind, namespace), accept=accept))
        names = [column["name"] for column in table["columnDefinitions"]]
        return [dict(zip(names, row["cells"], strict=True)) for row in table["rows"]]

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        accept: str = "application/json, */*",
    ) -> str:
        sent = await self.client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": accept, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        response = await self.client.call_api(*sent, _request_timeout=_TIMEOUT)
        text = (await response.read()).decode()
        if response.status < 300:
            return text
        try:
            status = json.loads(text)
        except ValueError:
            status = {"message": text[:500]}
        raise ApiError(response.status, status)


async def until(is_so: Callable[[], Any], what: str, timeout: float = 600.0, every: float = 1.0) -> float:
    """Wait for an awaitable condition; returns the seconds it took. Fails the test with `what` when it never comes."""
    started = time.monotonic()
    while not await is_so():
        waited = time.monotonic() - started
        assert waited < timeout, f"not within {timeout:.0f} s: {what}"
        await asyncio.sleep(every)
    return time.monotonic() - started


def _path(kind: str, namespace: str | None, name: str = "", subresource: str = "") -> str:
    root, plural = _PLACES[kind]
    home = f"/namespaces/{namespace}" if namespace is not None else ""
    return "/" + "/".join(part for part in (f"{root}{home}/{plural}", name, subresource) if part)
