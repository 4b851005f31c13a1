"""Defaults and checks of single kinds that our manifests meet or could break.

Sources: kubernetes/kubernetes `pkg/apis/*/v1/defaults.go` and `pkg/apis/*/validation`; training-operator v1.9.4
`pkg/webhooks/pytorch`. Far from all: what no manifest of ours can touch is left out.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from kube.errors import Cause
from kube.kinds import Kind
from kube.storage import Object


def apply_defaults(kind: Kind, item: Object) -> None:
    """Fill in, in place, the defaults that readers of these objects rely on."""
    match kind.kind:
        case "Job":
            _default_job(item)
        case "Deployment":
            spec = item.setdefault("spec", {})
            spec.setdefault("replicas", 1)
            spec.setdefault("revisionHistoryLimit", 10)
            spec.setdefault("progressDeadlineSeconds", 600)
        case "Pod":
            spec = item.setdefault("spec", {})
            spec.setdefault("restartPolicy", "Always")
            spec.setdefault("terminationGracePeriodSeconds", 30)
            item.setdefault("status", {"phase": "Pending"})
        case "Service":
            for port in item.get("spec", {}).get("ports") or []:
                port.setdefault("protocol", "TCP")
        case "ConfigMap":
            _drop_empty(item, "data", "binaryData")
        case "Secret":
            _drop_empty(item, "data", "stringData")
            item.setdefault("type", "Opaque")
            for key, value in (item.pop("stringData", None) or {}).items():
                item.setdefault("data", {})[key] = base64.b64encode(value.encode()).decode()
        case "Namespace":
            item.setdefault("status", {"phase": "Active"})
        case _:
            pass


def _drop_empty(item: Object, *fields: str) -> None:
    """Fields of Go's structs with `omitempty`: empty is absent."""
    for field in fields:
        if not item.get(field, ...):
            del item[field]


def _default_job(item: Object) -> None:
    spec = item.setdefault("spec", {})
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    defaults = {
        "parallelism": 1,
        "completionMode": "NonIndexed",
        "suspend": False,
        # Without a limit of their own indexes share 6; with one the job's is not meant to bite (KEP-3850).
        "backoffLimit": 2**31 - 1 if "backoffLimitPerIndex" in spec else 6,
        "podReplacementPolicy": "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed",
    }
    for key, value in defaults.items():
        spec.setdefault(key, value)
    if "selector" not in spec:
        uid = item["metadata"].get("uid", "")
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        labels = spec.get("template", {}).setdefault("metadata", {}).setdefault("labels", {})
        labels |= {
            "batch.kubernetes.io/controller-uid": uid,
            "batch.kubernetes.io/job-name": item["metadata"]["name"],
        }


def causes(kind: Kind, item: Object, old: Object | None) -> Iterator[Cause]:
    """What is wrong with an object of a built-in kind."""
    match kind.kind:
        case "Job":
            yield from _job_causes(item, old)
        case "Deployment":
            yield from _deployment_causes(item, old)
        case "Pod":
            yield from _pod_causes(item["spec"], "spec")
            if old is not None and item["spec"]["containers"] != old["spec"]["containers"]:
                yield Cause("spec", "FieldValueForbidden", "Forbidden: pod updates may not change fields")
        case "Secret" if old is not None:
            yield from _immutable(item, old, "type")
        case "Service":
            if not item["spec"].get("ports") and item["spec"].get("clusterIP") != "None":
                yield Cause("spec.ports", "FieldValueRequired", "Required value")
        case "Lease":
            if item.get("spec", {}).get("leaseDurationSeconds", 1) <= 0:
                yield Cause("spec.leaseDurationSeconds", "FieldValueInvalid", "must be greater than 0")
        case _:
            pass


def _job_causes(item: Object, old: Object | None) -> Iterator[Cause]:
    spec = item["spec"]
    template = spec["template"]
    yield from _pod_causes(template.get("spec") or {}, "spec.template.spec")
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy not in ("Never", "OnFailure"):
        message = f'Unsupported value: {policy!r}: supported values: "Never", "OnFailure"'
        yield Cause("spec.template.spec.restartPolicy", "FieldValueNotSupported", message)
    if spec.get("podFailurePolicy") and policy != "Never":
        message = 'only "Never" is supported when podFailurePolicy is specified'
        yield _bad("spec.template.spec.restartPolicy", policy, message)
    if spec.get("podFailurePolicy") and spec["podReplacementPolicy"] != "Failed":
        yield _bad("spec.podReplacementPolicy", spec["podReplacementPolicy"], "must be Failed with podFailurePolicy")
    if spec["completionMode"] == "Indexed" and "completions" not in spec:
        yield Cause("spec.completions", "FieldValueRequired", "Required value: when completion mode is Indexed")
    if "backoffLimitPerIndex" in spec and spec["completionMode"] != "Indexed":
        yield _bad("spec.backoffLimitPerIndex", spec["backoffLimitPerIndex"], "requires indexed completion mode")
    if old is not None:
        # The labels of a job that never began may change: whoever lets it begin may say where (KEP-2926).
        is_unbegun = old["spec"].get("suspend") and not (old.get("status") or {}).get("startTime")
        yield from _immutable(item, old, "spec", "template", *(("spec",) if is_unbegun else ()))
        for field in ("selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex"):
            yield from _immutable(item, old, "spec", field)
        if spec["completionMode"] == "NonIndexed":
            yield from _immutable(item, old, "spec", "completions")


def _deployment_causes(item: Object, old: Object | None) -> Iterator[Cause]:
    spec = item["spec"]
    template = spec["template"]
    yield from _pod_causes(template.get("spec") or {}, "spec.template.spec")
    labels = (template.get("metadata") or {}).get("labels") or {}
    wanted = spec["selector"].get("matchLabels") or {}
    if not wanted or any(labels.get(key) != value for key, value in wanted.items()):
        yield _bad("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    if (template.get("spec") or {}).get("restartPolicy", "Always") != "Always":
        yield Cause("spec.template.spec.restartPolicy", "FieldValueNotSupported", 'supported values: "Always"')
    if old is not None:
        yield from _immutable(item, old, "spec", "selector")


def _pod_causes(spec: Mapping[str, Any], path: str) -> Iterator[Cause]:
    containers = spec.get("containers") or []
    if not containers:
        yield Cause(f"{path}.containers", "FieldValueRequired", "Required value")
    everyone = [*(spec.get("initContainers") or []), *containers]
    volumes = {volume["name"] for volume in spec.get("volumes") or []}
    names = [container["name"] for container in everyone]
    for name in {name for name in names if names.count(name) > 1}:
        yield Cause(f"{path}.containers", "FieldValueDuplicate", f"Duplicate value: {name!r}")
    for container in everyone:
        if not container.get("image"):
            yield Cause(f"{path}.containers.image", "FieldValueRequired", "Required value")
        for mount in container.get("volumeMounts") or []:
            if mount["name"] not in volumes:
                yield Cause(f"{path}.containers.volumeMounts", "FieldValueNotFound", f"Not found: {mount['name']!r}")


def webhook_refusal(kind: Kind, item: Object) -> str | None:
    """Why the training operator's webhook says no to a PyTorchJob (kubeflow training-operator 1.9)."""
    if kind.kind != "PyTorchJob":
        return None
    replicas = item.get("spec", {}).get("pytorchReplicaSpecs") or {}
    if not replicas or not set(replicas) <= {"Master", "Worker"}:
        return f"spec.pytorchReplicaSpecs: Invalid value: {sorted(replicas)}: must be Master or Worker"
    for name, replica in replicas.items():
        containers = replica.get("template", {}).get("spec", {}).get("containers") or []
        if not any(container.get("name") == "pytorch" for container in containers):
            return f"spec.pytorchReplicaSpecs[{name}]: must have at least one container with name pytorch"
        if not all(container.get("image") for container in containers):
            return f"spec.pytorchReplicaSpecs[{name}]: container image must be set"
    if "Master" in replicas and replicas["Master"].get("replicas") != 1:
        return "spec.pytorchReplicaSpecs[Master].replicas: must be 1"
    if item["spec"].get("elasticPolicy") and "Worker" not in replicas:
        return "spec.elasticPolicy: requires a Worker"
    return None


def _immutable(item: Object, old: Object, *path: str) -> Iterator[Cause]:
    new_value: Any = item
    old_value: Any = old
    for part in path:
        new_value, old_value = new_value.get(part), old_value.get(part)
        if old_value is None and new_value is None:
            return
    if new_value != old_value:
        yield _bad(".".join(path), new_value, "field is immutable")


def _bad(path: str, value: object, message: str) -> Cause:
    return Cause(path, "FieldValueInvalid", f"Invalid value: {value!r}: {message}")
