"""What a pod refers to and cannot start without: Secrets, ConfigMaps and claims.

Source: kubernetes.io, "Secrets": a missing one blocks the container until it is there, unless optional.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kube.behaviour import Blocked
from kube.kinds import BY_NAME
from kube.storage import Object, Storage

Problem = tuple[Blocked, str]


def problem(storage: Storage, pod: Object) -> Problem | None:
    """The first thing that is missing, in the order in which scheduler and kubelet look."""
    namespace = pod["metadata"]["namespace"]

    def lacks(kind: str, name: str) -> bool:
        return storage.view(BY_NAME[kind], namespace, name) is None

    for kind, claim in _claims(pod):
        if lacks(kind, claim):
            return Blocked.UNSCHEDULABLE, f'0/1 nodes are available: {kind.lower()} "{claim}" not found.'
    for volume in pod["spec"].get("volumes") or []:
        if (secret := volume.get("secret")) and not secret.get("optional") and lacks("Secret", secret["secretName"]):
            return Blocked.CREATING, ""
    for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
        for kind, name in _references(container):
            if lacks(kind, name):
                return Blocked.CONFIG_ERROR, f'{kind.lower()} "{name}" not found'
    return _missing_key(storage, pod)


def _claims(pod: Object) -> Iterator[tuple[str, str]]:
    for each in pod["spec"].get("resourceClaims") or []:
        yield "ResourceClaim", each["resourceClaimName"]
    for volume in pod["spec"].get("volumes") or []:
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]


def _references(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for entry in container.get("env") or []:
        source = entry.get("valueFrom") or {}
        for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
            if field in source and not source[field].get("optional"):
                yield kind, source[field]["name"]
    for entry in container.get("envFrom") or []:
        for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
            if field in entry and not entry[field].get("optional"):
                yield kind, entry[field]["name"]


def _missing_key(storage: Storage, pod: Object) -> Problem | None:
    namespace = pod["metadata"]["namespace"]
    for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
        for entry in container.get("env") or []:
            reference = (entry.get("valueFrom") or {}).get("secretKeyRef")
            if not reference or reference.get("optional"):
                continue
            secret = storage.view(BY_NAME["Secret"], namespace, reference["name"]) or {}
            if reference["key"] not in (secret.get("data") or {}):
                where = f"{namespace}/{reference['name']}"
                return Blocked.CONFIG_ERROR, f"couldn't find key {reference['key']} in Secret {where}"
    return None
