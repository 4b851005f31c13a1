"""A patch over a run's file: JSON merge patch (RFC 7386), which is what kustomize does to a custom resource. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def overlaid(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """`document` with `patch` over it: mappings merge, null takes a field away, anything else replaces.

    The patch's own name is added to the run's, as kustomize's `nameSuffix` would: runs with and without it stand side
    by side, and one never goes on in the other's place.
    """
    merged = dict(_merged(document, {name: value for name, value in patch.items() if name != "metadata"}))
    match document.get("metadata"), patch.get("metadata"):
        case {"name": name, **others}, {"name": str(suffix)}:
            merged["metadata"] = {"name": f"{name}-{suffix}", **others}
    return merged


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged
