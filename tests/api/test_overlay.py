"""A patch over a run: RFC 7386, as kustomize patches a custom resource."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from selfreward.api.overlay import overlaid


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}, id="mappings merge"),
        pytest.param({"a": [1, 2]}, {"a": [3]}, {"a": [3]}, id="a list replaces"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}, id="null takes away"),
        pytest.param({}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}, id="null of what is not there"),
        pytest.param({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}, id="a mapping over a value"),
        pytest.param({"a": {"b": 1}}, {"a": 1}, {"a": 1}, id="a value over a mapping"),
        pytest.param({"a": 1}, {}, {"a": 1}, id="nothing"),
    ],
)
def test_merging(document: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]) -> None:
    before = copy.deepcopy((document, patch))
    assert overlaid({"spec": document}, {"spec": patch})["spec"] == expected
    assert (document, patch) == before, "neither is changed"


def test_the_patchs_name_is_added_to_the_runs() -> None:
    run = {"metadata": {"name": "mine", "labels": {"a": "b"}}, "spec": {}}
    patched = overlaid(run, {"metadata": {"name": "no-eft"}, "kind": "SelfRewardRun"})
    assert patched["metadata"] == {"name": "mine-no-eft", "labels": {"a": "b"}}
    assert overlaid(run, {"spec": {}})["metadata"]["name"] == "mine"
