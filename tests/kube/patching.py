"""Merge patch (RFC 7386) and JSON patch (RFC 6902) on plain data."""

from __future__ import annotations

from typing import Any

import jsonpatch
import jsonpointer

from kube.errors import bad_request, unprocessable
from kube.storage import copied


def merge_patch(target: Any, patch: Any) -> Any:
    """`target` with `patch` merged in; null removes. Lists are replaced whole."""
    if not isinstance(patch, dict):
        return copied(patch)
    result = copied(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def json_patch(target: Any, operations: Any) -> Any:
    """`target` with the operations done; ApiError 422 when one cannot be (a failed `test` among them)."""
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    try:
        return jsonpatch.JsonPatch(operations).apply(copied(target))
    except jsonpatch.InvalidJsonPatch as error:
        raise bad_request(f"error decoding patch: {error}") from error
    except (jsonpatch.JsonPatchConflict, jsonpatch.JsonPatchTestFailed, jsonpointer.JsonPointerException) as error:
        raise unprocessable(str(error)) from error
