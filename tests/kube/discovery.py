"""Discovery: which groups, versions and resources there are, so that clients find what is installed and only that."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from kube.kinds import Kind

VERSION: Final = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.2",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-06-10T00:00:00Z",
    "goVersion": "go1.26",
    "compiler": "gc",
    "platform": "linux/amd64",
}
"""What the generated clients insist on; of it only the version means anything here."""
_VERBS: Final = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def document(path: str, kinds: Collection[Kind]) -> dict[str, Any] | None:
    """The discovery document at `path`; None when there is none."""
    match [part for part in path.split("/") if part]:
        case ["version"]:
            return dict(VERSION)
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            groups = sorted({kind.group for kind in kinds if kind.group})
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name, kinds) for name in groups]}
        case ["apis", group]:
            found = _group(group, kinds)
            return {"kind": "APIGroup", "apiVersion": "v1", **found} if found["versions"] else None
        case ["api", version]:
            return _resources("", version, kinds)
        case ["apis", group, version]:
            return _resources(group, version, kinds)
        case _:
            return None


def _group(name: str, kinds: Collection[Kind]) -> dict[str, Any]:
    versions = [
        {"groupVersion": f"{name}/{version}", "version": version}
        for version in sorted({kind.version for kind in kinds if kind.group == name})
    ]
    return {"name": name, "versions": versions, "preferredVersion": versions[0] if versions else None}


def _resources(group: str, version: str, kinds: Collection[Kind]) -> dict[str, Any] | None:
    found = [kind for kind in kinds if (kind.group, kind.version) == (group, version)]
    if not found:
        return None
    resources = []
    for kind in found:
        resources.append(_resource(kind, kind.plural, _VERBS))
        if kind.has_status:
            resources.append(_resource(kind, f"{kind.plural}/status", ["get", "patch", "update"]))
        resources += [_resource(kind, f"{kind.plural}/{name}", ["get"]) for name in kind.extra_subresources]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].api_version,
        "resources": resources,
    }


def _resource(kind: Kind, name: str, verbs: list[str]) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "name": name,
        "singularName": "" if "/" in name else kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": verbs,
    }
    if "/" not in name:
        optional = {"shortNames": list(kind.short_names), "categories": list(kind.categories)}
        resource |= {key: value for key, value in optional.items() if value}
    return resource
