"""Making and reading pods, as every workload controller does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kube.controllers import Controller
from kube.deleting import DeleteOptions
from kube.errors import ApiError
from kube.kinds import BY_NAME, POD, Kind
from kube.storage import Object, copied, key_of

Template = Mapping[str, Any]
REFUSED_AGAIN: Final = 5.0
"""Seconds until a controller tries again to make a pod that was refused; real ones wait longer each time."""


def owner_reference(kind: Kind, item: Object) -> dict[str, Any]:
    """A controller's reference to its own object."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": item["metadata"]["name"],
        "uid": item["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_from(
    template: Template,
    owner: dict[str, Any],
    name: str,
    *,
    labels: Mapping[str, str] = {},
    annotations: Mapping[str, str] = {},
    env: Mapping[str, str] = {},
    finalizers: tuple[str, ...] = (),
) -> Object:
    """The pod of a template, with what its controller adds; added environment wins, being last."""
    metadata = template.get("metadata") or {}
    spec = copied(dict(template["spec"]))
    for container in spec["containers"]:
        container["env"] = [*(container.get("env") or []), *({"name": k, "value": v} for k, v in env.items())]
    new_metadata: dict[str, Any] = {
        "name": name,
        "labels": {**(metadata.get("labels") or {}), **labels},
        "annotations": {**(metadata.get("annotations") or {}), **annotations},
        "ownerReferences": [owner],
    }
    if finalizers:
        new_metadata["finalizers"] = list(finalizers)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": new_metadata, "spec": spec}


def pods_of(controller: Controller[Any], owner: Object) -> list[Object]:
    """Copies of the pods that `owner` controls, by name."""
    references = controller.storage.dependents(owner["metadata"]["uid"])
    found = [
        controller.storage.get(POD, namespace, name) for resource, namespace, name in references if resource == "pods"
    ]
    return [pod for pod in found if pod is not None]


def phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", "Pending"))


def is_over(pod: Object) -> bool:
    """Whether its containers have ended for good."""
    return phase(pod) in ("Succeeded", "Failed")


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def is_going(pod: Object) -> bool:
    """Whether its deletion has begun."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def exit_code(pod: Object) -> int | None:
    """Exit code of the first main container."""
    for status in pod.get("status", {}).get("containerStatuses") or []:
        ended = status["state"].get("terminated")
        if ended is not None:
            return int(ended["exitCode"])
    return None


def is_disrupted(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(each["type"] == "DisruptionTarget" and each["status"] == "True" for each in conditions)


def drop_finalizer(controller: Controller[Any], pod: Object, finalizer: str) -> None:
    """Let go of a pod."""
    finalizers = pod["metadata"].get("finalizers") or []
    if finalizer in finalizers:
        pod["metadata"]["finalizers"] = [each for each in finalizers if each != finalizer]
        controller.update(POD, pod)


def delete_pod(controller: Controller[Any], pod: Object) -> None:
    """Ask for a pod's end; one that is gone is as good."""
    if is_going(pod):
        return
    try:
        controller.deleter.delete(POD, *key_of(pod), DeleteOptions(uid=pod["metadata"]["uid"]))
    except ApiError as error:
        if error.code != 404:
            raise


def owner_key(item: Object, kind: Kind) -> tuple[str, str] | None:
    """Namespace and name of the object of `kind` that controls `item`."""
    for owner in item["metadata"].get("ownerReferences") or []:
        if owner["kind"] == kind.kind and owner.get("controller"):
            return key_of(item)[0], owner["name"]
    return None


def create_pod(
    controller: Controller[Any], kind: Kind, owner: Object, pod: Object, reason: str = "FailedCreate"
) -> str:
    """Create a pod; where it is refused, an event of its owner says so, as real controllers post it. Why it was."""
    why = controller.machinery.refuses(pod)
    namespace, name = key_of(owner)
    if not why:
        controller.writer.create(POD, namespace, pod, controller.actor())
        return ""
    message = f'pods "{pod["metadata"]["name"]}" is forbidden: {why}'
    now = controller.clock.stamp()
    event = {
        "metadata": {"name": f"{name}.{controller.identities.suffix()}"},
        "involvedObject": {"kind": kind.kind, "name": name, "namespace": namespace, "uid": owner["metadata"]["uid"]},
        "reason": reason,
        "message": f"Error creating: {message}",
        "type": "Warning",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    controller.writer.create(BY_NAME["Event"], namespace, event, controller.actor())
    return message
