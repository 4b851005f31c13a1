"""Requests as the API server understands them, and the log of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kube.errors import bad_request, no_such_resource, not_allowed
from kube.kinds import Kind

WRITES: Final = frozenset({"create", "update", "patch", "apply", "delete", "deletecollection"})
APPLY: Final = "application/apply-patch+yaml"


@dataclass
class Request:
    """One request for a resource, as RBAC would see it."""

    verb: str
    """get, list, watch, create, update, patch, apply (a patch for RBAC), delete or deletecollection."""
    kind: Kind
    namespace: str
    """Empty for a cluster's own objects and for lists across namespaces."""
    name: str
    subresource: str
    query: Mapping[str, str]
    user_agent: str = ""
    content_type: str = ""
    body: Any = None

    @property
    def plural(self) -> str:
        """`jobs`, or with its subresource `selfrewardruns/status`."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural

    @property
    def sent_name(self) -> str:
        """The name in the body of a create; empty when there is none."""
        metadata = self.body.get("metadata") if isinstance(self.body, dict) else None
        return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""

    @property
    def shows_an_object(self) -> bool:
        """Whether its answer is the one object that it is about, as it is then."""
        return self.verb in ("get", "create", "update", "patch", "apply")

    def __str__(self) -> str:
        return f"{self.verb} {self.plural} {self.namespace}/{self.name}"


@dataclass
class Logged:
    """A request and what came of it."""

    verb: str
    plural: str
    kind: str
    namespace: str
    name: str
    user_agent: str
    at: float
    """Virtual seconds since the cluster's start."""
    status: int | None = None
    """None while it is under way, and when the connection was broken before the answer."""
    committed: bool = False
    fault: str = ""

    @property
    def is_write(self) -> bool:
        return self.verb in WRITES


@dataclass
class RequestLog:
    """Every request to a resource, in order; discovery is counted apart."""

    entries: list[Logged] = field(default_factory=list)
    discoveries: int = 0

    def __iter__(self) -> Iterator[Logged]:
        return iter(self.entries)

    def matching(self, verb: str | None = None, plural: str | None = None, **equal: object) -> list[Logged]:
        """The entries with that verb and plural, and with those attributes (`name=`, `user_agent=`, `status=`)."""
        wanted = {"verb": verb, "plural": plural} | equal
        asked = {key: value for key, value in wanted.items() if value is not None}
        return [entry for entry in self.entries if all(getattr(entry, key) == value for key, value in asked.items())]

    def count(self, verb: str | None = None, plural: str | None = None, **equal: object) -> int:
        """How many match."""
        return len(self.matching(verb, plural, **equal))

    def counts(self) -> Counter[tuple[str, str]]:
        """How many of each verb and plural."""
        return Counter((entry.verb, entry.plural) for entry in self.entries)

    def writes(self) -> list[Logged]:
        """The requests that would change something."""
        return [entry for entry in self.entries if entry.is_write]

    def clear(self) -> None:
        """Forget all, to count from here."""
        self.entries.clear()
        self.discoveries = 0


FindKind = Callable[[str, str, str], Kind | None]
"""The installed kind of a group, version and plural."""


def parse(method: str, path: str, query: Mapping[str, str], content_type: str, find: FindKind) -> Request:
    """The request behind a path; raises ApiError 404 for a path of no installed resource."""
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["api", version, *rest]:
            group = ""
        case ["apis", group, version, *rest]:
            pass
        case _:
            raise no_such_resource()
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = [*rest, "", "", ""][:3]
    kind = find(group, version, plural)
    known = {"": True, "status": kind is not None and kind.has_status}
    is_known = kind is not None and known.get(subresource, subresource in kind.extra_subresources)
    if kind is None or not is_known or len(rest) > 3 or (bool(namespace) and not kind.namespaced):
        raise no_such_resource()
    if kind.namespaced and not namespace and name:
        raise no_such_resource()
    if kind.namespaced and not namespace and method != "GET":
        raise not_allowed()
    verb = _verb(method, name, query, content_type)
    return Request(verb, kind, namespace, name, subresource, query, content_type=content_type)


def _verb(method: str, name: str, query: Mapping[str, str], content_type: str) -> str:
    match method, bool(name):
        case "GET", _ if query.get("watch") in ("true", "1"):
            return "watch"
        case "GET", True:
            return "get"
        case "GET", False:
            return "list"
        case "POST", False:
            return "create"
        case "PUT", True:
            return "update"
        case "PATCH", True:
            return "apply" if content_type == APPLY else "patch"
        case "DELETE", True:
            return "delete"
        case "DELETE", False:
            return "deletecollection"
        case _:
            raise bad_request(f"method {method} is not supported here")
