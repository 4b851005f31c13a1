"""Pod templates: what every pod of a run has, under Pod Security "restricted"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from selfreward_steps.contract import SCRATCH_VARIABLE, ConfigMapKeyRef, SecretKeyRef

from selfreward.api import Workload
from selfreward.api.workloads import STANDARD_RESOURCES, is_accelerator
from selfreward.render.metadata import Manifest

SCRATCH: Final = "/scratch"
USER_ID: Final = 10001
"""Any user but root: `restricted` refuses root, and images that do not name a user start as it."""


@dataclass(frozen=True, slots=True)
class Container:
    """The part of a container that differs between the pods of a run."""

    name: str
    image: str
    command: Sequence[str]
    environment: Sequence[Manifest]
    """Entries of `env`; Kubernetes expands `$(NAME)` in the values from the entries before it."""
    environment_from: Sequence[Manifest] = ()
    mounts: Sequence[Manifest] = ()
    resources: Manifest = field(default_factory=dict)
    probes: Mapping[str, Manifest] = field(default_factory=dict)
    ports: Sequence[Manifest] = ()


def value(name: str, text: str) -> Manifest:
    """One environment variable with a fixed value."""
    return {"name": name, "value": text}


def value_from_secret(name: str, ref: SecretKeyRef) -> Manifest:
    """One environment variable that the kubelet reads; the operator never sees what is in it."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": ref.name, "key": ref.key}}}


def value_from_config_map(name: str, ref: ConfigMapKeyRef) -> Manifest:
    """One environment variable whose text a ConfigMap holds."""
    return {"name": name, "valueFrom": {"configMapKeyRef": {"name": ref.name, "key": ref.key}}}


def json_value(name: str, json: str) -> Manifest:
    """An environment variable that holds JSON.

    `$` becomes its JSON escape: Kubernetes expands `$(NAME)` and `$$` in values, and a prompt or a template may
    hold either.
    """
    return value(name, json.replace("$", "\\u0024"))


def home() -> list[Manifest]:
    """Writable places for a user without an entry in the image's passwd: caches follow HOME, torch asks for USER."""
    return [
        value(SCRATCH_VARIABLE, SCRATCH),
        value("HOME", SCRATCH),
        value("USER", "selfreward"),
        value("PYTHONUNBUFFERED", "1"),
    ]


def container_manifest(container: Container, workload: Workload) -> Manifest:
    """A container that may write to its mounts only."""
    manifest: Manifest = {
        "name": container.name,
        "image": container.image,
        "command": list(container.command),
        "env": [*container.environment, *workload.env],
        "volumeMounts": [
            {"name": "scratch", "mountPath": SCRATCH},
            {"name": "tmp", "mountPath": "/tmp"},
            *container.mounts,
            *workload.volume_mounts,
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    optional: Manifest = {
        "imagePullPolicy": workload.image_pull_policy,
        "envFrom": list(container.environment_from),
        "resources": container.resources,
        "ports": list(container.ports),
        **container.probes,
    }
    return manifest | _given(optional)


def pod_template(
    workload: Workload,
    labels: Mapping[str, str],
    container: Manifest,
    *,
    beside: Sequence[Manifest] = (),
    volumes: Sequence[Manifest] = (),
    init: Sequence[Manifest] = (),
    claims: Sequence[Manifest] = (),
    restart: str | None = "Never",
) -> Manifest:
    """A pod template of `container`, which does the work, and those `beside` it; `restart` None leaves it to the
    controller (training-operator overwrites it with a warning)."""
    spec: Manifest = {
        "automountServiceAccountToken": False,
        # A namespace with many Services would put hundreds of variables in front of $(NAME) expansion.
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": workload.termination_grace_period_seconds,
        "containers": [container, *beside],
        "volumes": [
            {"name": "scratch", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            *volumes,
            *workload.volumes,
        ],
    }
    optional: Manifest = {
        "restartPolicy": restart,
        "initContainers": list(init),
        "resourceClaims": list(claims),
        **_placement(workload),
    }
    # A mesh's sidecar never ends by itself, so a Job with one never completes (kubeflow/training-operator #2327).
    metadata: Manifest = {
        "labels": {**workload.labels, "sidecar.istio.io/inject": "false", **labels},
        "annotations": {**workload.annotations, "linkerd.io/inject": "disabled"},
    }
    return {"metadata": metadata, "spec": spec | _given(optional)}


def _placement(workload: Workload) -> Manifest:
    return {
        "nodeSelector": dict(workload.node_selector),
        "tolerations": list(workload.tolerations),
        "affinity": workload.affinity,
        "topologySpreadConstraints": list(workload.topology_spread_constraints),
        "priorityClassName": workload.priority_class_name,
        "runtimeClassName": workload.runtime_class_name,
        "serviceAccountName": workload.service_account_name,
        "imagePullSecrets": [{"name": name} for name in workload.image_pull_secrets],
    }


def resources(workload: Workload, gpus: int = 0) -> Manifest:
    """The user's requests and limits, and `gpus` NVIDIA GPUs where they name none: who asks for memory still needs
    the GPU. Where they name 0, none."""
    requests, limits = (_held(each) for each in (workload.resources.requests, workload.resources.limits))
    if gpus and not workload.resources.names_accelerator:
        limits["nvidia.com/gpu"] = str(gpus)
    return _given({"requests": requests, "limits": limits})


def without_devices(workload: Workload) -> Manifest:
    """The user's requests and limits of processors, memory and disk."""
    asked = (workload.resources.requests, workload.resources.limits)
    requests, limits = ({name: each[name] for name in each if name in STANDARD_RESOURCES} for each in asked)
    return _given({"requests": requests, "limits": limits})


def _held(quantities: Mapping[str, str]) -> dict[str, str]:
    return {name: quantity for name, quantity in quantities.items() if quantity != "0" or not is_accelerator(name)}


def shared_memory() -> tuple[Manifest, Manifest]:
    """Volume and mount of a /dev/shm larger than the 64 MiB default, which NCCL and vLLM's workers overrun."""
    return {"name": "shm", "emptyDir": {"medium": "Memory"}}, {"name": "shm", "mountPath": "/dev/shm"}


def _given(fields: Mapping[str, Any]) -> Manifest:
    return {name: content for name, content in fields.items() if content not in (None, {}, [])}
