"""A ValidatingAdmissionPolicy as the API server evaluates it, and the cases that the chart's is held to.

Kept of its semantics: conditions that do not match leave the request alone, variables may read those before them, an
expression that cannot be evaluated refuses where `failurePolicy` is Fail. Source: kubernetes.io, "Validating Admission
Policy". The real API server is asked the same cases in `tests/real_cluster`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import cel

Object = dict[str, Any]

VALUES: Final[Mapping[str, Any]] = {
    "enabled": True,
    "images": ["registry.example.com/team", "registry.example.com:5000/", "mirror.example.com"],
    "serviceAccounts": ["default", "runs-*"],
    "secrets": ["selfreward-*", "bucket"],
    "deviceClasses": ["gpu.nvidia.com", "team-*"],
}
"""`admissionPolicy` of the cases."""


def refusals(policy: Object, item: Object, old: Object | None = None) -> list[str]:
    """Messages of what the policy finds wrong with a write; `old` is what is stored, None on create.

    Of an expression that cannot be evaluated the API server shows its error in place of the policy's message.
    """
    spec = policy["spec"]
    known: dict[str, Any] = {"object": item, "oldObject": old}
    if not all(_judge(each["expression"], known)[0] for each in spec.get("matchConditions", [])):
        return []
    variables: dict[str, Any] = {}
    known["variables"] = variables
    for each in spec.get("variables", []):
        variables[each["name"]] = cel.evaluate(each["expression"], known)
    found = [(each["message"], _judge(each["expression"], known)) for each in spec["validations"]]
    return [error or message for message, (holds, error) in found if not holds]


def _judge(expression: str, known: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether an expression is true; and what went wrong if it cannot be evaluated."""
    try:
        return cel.evaluate(expression, dict(known)) is True, ""
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        return False, f"expression '{expression}' resulted in error: {error}"


def run_with(*path: str, value: Any) -> Object:
    """A run with one field of its spec set."""
    spec: Object = {"model": {"uri": "hf://a/b"}}
    below = spec
    for name in path[:-1]:
        below = below.setdefault(name, {})
    below[path[-1]] = value
    metadata = {"name": "policed", "namespace": "default"}
    return {"apiVersion": "selfreward.dev/v1alpha1", "kind": "SelfRewardRun", "metadata": metadata, "spec": spec}


def _env(**source: Any) -> list[Object]:
    return [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": source}]


def _volumes(**volume: Any) -> list[Object]:
    return [{"name": "scratch"}, {"name": "v", **volume}]


_CLASS: Final = "deviceclass.resource.kubernetes.io/"
_DIGEST: Final = "sha256:" + "a" * 64
_KIND_CASES: Final[list[tuple[str, str, Any, str]]] = [
    ("an image below a prefix", "image", "registry.example.com/team/own:1", ""),
    ("the prefix itself, tagged", "image", "registry.example.com/team:1", ""),
    ("the prefix itself, by digest", "image", f"registry.example.com/team@{_DIGEST}", ""),
    ("below a registry with a port", "image", "registry.example.com:5000/any", ""),
    ("below a whole registry", "image", "mirror.example.com/library/python", ""),
    ("a neighbour of a prefix", "image", "registry.example.com/team-b/own", "image"),
    ("another port of a registry", "image", "mirror.example.com:5000/own", "image"),
    ("another host that begins alike", "image", "mirror.example.com.evil.com/own", "image"),
    ("a dot that is none", "image", "mirrorXexample.com/own", "image"),
    ("Docker's hub", "image", "python", "image"),
    ("an account by pattern", "serviceAccountName", "runs-a", ""),
    ("an account in full", "serviceAccountName", "default", ""),
    ("another account", "serviceAccountName", "admin-runs-a", "serviceAccountName"),
    ("an account that begins alike", "serviceAccountName", "defaults", "serviceAccountName"),
    ("a volume of nothing", "volumes", _volumes(emptyDir={}), ""),
    ("a claim", "volumes", _volumes(persistentVolumeClaim={"claimName": "c"}), ""),
    ("hostPath", "volumes", _volumes(hostPath={"path": "/"}), "volumes"),
    ("an image as a volume", "volumes", _volumes(image={"reference": "python"}), "volumes"),
    ("csi", "volumes", _volumes(csi={"driver": "d"}), "volumes"),
    ("hostPath beside another type", "volumes", _volumes(emptyDir={}, hostPath={"path": "/"}), "volumes"),
    ("a Secret as a volume", "volumes", _volumes(secret={"secretName": "selfreward-a"}), ""),
    ("another's Secret as a volume", "volumes", _volumes(secret={"secretName": "others"}), "volumes"),
    ("a volume of no Secret", "volumes", _volumes(secret={}), "volumes"),
    ("a projected Secret", "volumes", _volumes(projected={"sources": [{"secret": {"name": "bucket"}}]}), ""),
    (
        "another's projected Secret",
        "volumes",
        _volumes(projected={"sources": [{"configMap": {"name": "c"}}, {"secret": {"name": "buckets"}}]}),
        "volumes",
    ),
    ("a variable from a Secret", "env", _env(secretKeyRef={"name": "bucket", "key": "k"}), ""),
    ("a variable from a ConfigMap", "env", _env(configMapKeyRef={"name": "others", "key": "k"}), ""),
    ("a variable from another's Secret", "env", _env(secretKeyRef={"name": "others", "key": "k"}), "env"),
    ("a variable from no Secret", "env", _env(secretKeyRef={"key": "k"}), "env"),
    ("devices by a resource", "resources", {"limits": {f"{_CLASS}gpu.nvidia.com": 1}, "requests": {"cpu": 1}}, ""),
    ("others by a resource", "resources", {"limits": {f"{_CLASS}gpuxnvidia.com": 1}}, "resources"),
    ("others by a request", "resources", {"limits": {"cpu": 1}, "requests": {f"{_CLASS}my-team-a": 1}}, "resources"),
    ("a resource of no class", "resources", {"limits": {"nvidia.com/gpu": 1}}, ""),
    ("a pull secret", "imagePullSecrets", ["bucket"], ""),
    ("another's pull secret", "imagePullSecrets", ["bucket", "others"], "imagePullSecrets"),
]


def kind_cases() -> Iterator[tuple[str, Object, str]]:
    """Name, run, and the field of `spec.workloads.*` that is refused, if any; over all kinds of workloads in turn."""
    kinds = ("serving", "generation", "training", "processing")
    for index, (name, field, value, refused) in enumerate(_KIND_CASES):
        run = run_with("workloads", kinds[index % len(kinds)], field, value=value)
        yield name, run, f"spec.workloads.*.{refused}" if refused else ""


def secret_paths(schema: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Every field of the CRD that names one Secret, outside the workloads; and whether with a key."""
    for name, below in schema.get("properties", {}).items():
        if name == "workloads":
            continue
        if "secret" in name.lower():
            yield (*path, name), below["type"] == "object"
        else:
            yield from secret_paths(below, (*path, name))
