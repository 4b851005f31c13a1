"""LIST: selectors, chunks with continue tokens, and what `resourceVersion` asks for.

Source: kubernetes.io, "Kubernetes API Concepts" (resource versions; retrieving large results sets in chunks).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kube import errors
from kube.kinds import Kind
from kube.selectors import Matches, field_selector, label_selector
from kube.storage import Object, Storage


@dataclass(frozen=True)
class _Page:
    revision: int
    items: tuple[Object, ...]


def selection(kind: Kind, namespace: str, query: Mapping[str, str], name: str = "") -> Matches:
    """The predicate of a list or watch."""
    by_labels = label_selector(query.get("labelSelector", ""))
    by_fields = field_selector(kind, query.get("fieldSelector", ""))

    def matches(item: Object) -> bool:
        metadata = item["metadata"]
        at_home = not namespace or metadata.get("namespace") == namespace
        named = not name or metadata["name"] == name
        return at_home and named and by_labels(item) and by_fields(item)

    return matches


def parse_revision(text: str) -> int:
    """A `resourceVersion` parameter as a number; ApiError 400 for what is none."""
    if not text.isdecimal():
        raise errors.bad_request(f"Invalid value: {text!r}: resourceVersion")
    return int(text)


def check_revision(storage: Storage, text: str) -> int:
    """A list's `resourceVersion` as a number; ApiError 504 for one from the future, 400 for no number."""
    if parse_revision(text) > storage.revision:
        details = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}
        message = f"Timeout: Too large resource version: {text}, current: {storage.revision}"
        raise errors.ApiError(504, "Timeout", message, details | {"retryAfterSeconds": 1})
    return int(text)


class Lister:
    """Answers lists, and keeps the snapshots behind continue tokens."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._pages: dict[str, _Page] = {}

    def list(self, kind: Kind, namespace: str, query: Mapping[str, str]) -> dict[str, Any]:
        """The List object."""
        page = self._continued(query["continue"]) if query.get("continue") else self._fresh(kind, namespace, query)
        limit = int(query.get("limit") or 0)
        shown, left = (page.items[:limit], page.items[limit:]) if limit else (page.items, ())
        metadata: dict[str, Any] = {"resourceVersion": str(page.revision)}
        if left:
            token = f"{page.revision}-{len(self._pages)}"
            self._pages[token] = _Page(page.revision, left)
            metadata["continue"] = token
            if not query.get("labelSelector") and not query.get("fieldSelector"):
                metadata["remainingItemCount"] = len(left)  # ListMeta: nobody counts what a selector leaves out
        return {
            "kind": f"{kind.kind}List",
            "apiVersion": kind.api_version,
            "metadata": metadata,
            "items": [_as_item(kind, item) for item in shown],
        }

    def _fresh(self, kind: Kind, namespace: str, query: Mapping[str, str]) -> _Page:
        if query.get("resourceVersion"):
            revision = check_revision(self._storage, query["resourceVersion"])
            if query.get("resourceVersionMatch") == "Exact" and revision != self._storage.revision:
                raise errors.expired(f"The provided resource version is too old: {revision}")
        matches = selection(kind, namespace, query)
        return _Page(self._storage.revision, tuple(item for item in self._storage.peek(kind) if matches(item)))

    def _continued(self, token: str) -> _Page:
        page = self._pages.get(token)
        if page is None or page.revision < self._storage.compacted:
            raise errors.expired("The provided continue parameter is too old to display a consistent list result.")
        return page


def _as_item(kind: Kind, item: Object) -> Object:
    """Items of built-in lists carry no kind and apiVersion; a custom resource's do."""
    if kind.is_custom:
        return item
    return {key: value for key, value in item.items() if key not in ("kind", "apiVersion")}
