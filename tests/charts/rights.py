"""What a ServiceAccount may do by the chart's roles, and what an operator has done by a fake cluster's log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from charts.helm import Manifest, of_kind
from kube import Logged
from kube.kinds import BY_NAME

EVERYWHERE = "*"


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource type in one namespace."""

    namespace: str
    """Or EVERYWHERE."""
    resource: str
    """Plural, subresource and group: `jobs.batch`, `pods/log`, `selfrewardruns/status.selfreward.dev`."""
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} in {self.namespace}"


def granted(manifests: list[Manifest], account: str) -> set[Right]:
    """What the roles give that ServiceAccount, without what they say of single names."""
    rules = {
        (kind, role["metadata"].get("namespace", EVERYWHERE), role["metadata"]["name"]): role["rules"]
        for kind in ("Role", "ClusterRole")
        for role in of_kind(manifests, kind)
    }
    rights = set()
    for binding in of_kind(manifests, "RoleBinding") + of_kind(manifests, "ClusterRoleBinding"):
        assert [each["name"] for each in binding["subjects"]] == [account]
        namespace = binding["metadata"].get("namespace", EVERYWHERE)
        for rule in rules[binding["roleRef"]["kind"], namespace, binding["roleRef"]["name"]]:
            rights |= {
                Right(namespace, f"{resource}.{group}" if group else resource, verb)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
            }
    return rights


def used(requests: Iterable[Logged]) -> set[Right]:
    """What had to be granted for those requests."""
    return {right for request in requests for right in _needed(request)}


def allows(rights: set[Right], right: Right) -> bool:
    """Whether they hold that right, in its namespace or everywhere."""
    return right in rights or Right(EVERYWHERE, right.resource, right.verb) in rights


def _needed(request: Logged) -> list[Right]:
    kind = BY_NAME[request.kind]
    resource = f"{request.plural}.{kind.group}" if kind.group else request.plural
    # Server-side apply is a patch, and a create as well where nothing is there yet.
    verbs = ["patch", "create"] if request.verb == "apply" and request.status == 201 else [request.verb]
    verbs = ["patch" if verb == "apply" else verb for verb in verbs]
    return [Right(request.namespace or EVERYWHERE, resource, verb) for verb in verbs]
