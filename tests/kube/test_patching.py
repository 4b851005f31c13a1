"""Patches: what each of their three kinds does to an object, and which is refused.

Expectations are the API server's, from kubernetes.io "Update API Objects in Place Using kubectl patch".
"""

from __future__ import annotations

from typing import Any

import pytest

from kube.calls import CONFIG_MAPS, JSON_PATCH, MERGE, RUNS, STRATEGIC, Serve, config_map, run_manifest


async def test_merge_patch(server: Serve) -> None:
    async with server() as call:
        await call.create(config_map(a="1", b="2"))
        answer = await call("PATCH", f"{CONFIG_MAPS}/map", {"data": {"a": None, "c": "3"}}, MERGE)
        stale = await call("PATCH", f"{CONFIG_MAPS}/map", {"metadata": {"resourceVersion": "1"}}, MERGE)
        absent = await call("PATCH", f"{CONFIG_MAPS}/absent", {}, MERGE)
    assert answer.body["data"] == {"b": "2", "c": "3"}
    assert (stale.code, absent.code) == (409, 404)


JSON_PATCHES: list[tuple[str, Any, int]] = [
    ("test holds", [{"op": "test", "path": "/data/a", "value": "1"}, {"op": "remove", "path": "/data/a"}], 200),
    ("test fails", [{"op": "test", "path": "/data/a", "value": "2"}, {"op": "remove", "path": "/data/a"}], 422),
    ("no such path", [{"op": "remove", "path": "/data/z"}], 422),
    ("not a list", {"op": "remove"}, 400),
]


@pytest.mark.parametrize(("patch", "code"), [pytest.param(*case[1:], id=case[0]) for case in JSON_PATCHES])
async def test_json_patch(server: Serve, patch: Any, code: int) -> None:
    async with server() as call:
        await call.create(config_map(a="1"))
        answer = await call("PATCH", f"{CONFIG_MAPS}/map", patch, JSON_PATCH)
        stored = await call.get("ConfigMap", "map")
    assert answer.code == code
    assert stored is not None
    assert stored.get("data") == ({"a": "1"} if code != 200 else None)  # what is empty is absent


async def test_strategic_merge_is_refused(server: Serve) -> None:
    async with server() as call:
        await call.create(run_manifest())
        answer = await call("PATCH", f"{RUNS}/demo", {}, STRATEGIC)
    assert (answer.code, answer.reason) == (415, "UnsupportedMediaType")
