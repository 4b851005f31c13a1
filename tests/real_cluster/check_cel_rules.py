"""The rules of the CRD on a real API server: each refuses exactly what the in-process evaluation refuses."""

from __future__ import annotations

import re
from typing import Any

import pytest
from api import test_rules as table
from selfreward.api import RunStatus
from selfreward.api.annotations import PAUSED

from real_cluster.api import Api, ApiError, Object
from real_cluster.ground import Ground
from real_cluster.operators import Operators

NAMESPACE = "selfreward-suite-rules"


_EVALUATED = re.compile(r"evaluating rule: (\w+): ")


def manifest(name: str, **spec: Any) -> Object:
    """The valid example of the in-process table, changed as the case says; the operator leaves it alone."""
    dumped = table.run().model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)["spec"]
    return {
        "apiVersion": "selfreward.dev/v1alpha1",
        "kind": "SelfRewardRun",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": {PAUSED: "true"}},
        "spec": dumped | spec,
    }


def named(error: ApiError) -> set[str]:
    """The fields that the server's answer names. A rule that could not be evaluated stands at its object, and its
    message begins with the field."""
    paths = set()
    for cause in error.causes:
        field, evaluated = str(cause.get("field")), _EVALUATED.search(str(cause.get("message")))
        paths.add(f"{field}.{evaluated[1]}" if evaluated else field)
    return paths


@pytest.mark.parametrize(
    ("path", "spec"), [pytest.param(*case, id=f"{case[0]}-{i}") for i, case in enumerate(table.BROKEN)]
)
async def test_it_refuses_what_breaks_a_rule(
    api: Api, ground: Ground, operators: Operators, path: str, spec: dict[str, Any]
) -> None:
    await ground.open(NAMESPACE)
    with pytest.raises(ApiError) as refused:
        await api.create(manifest("broken", **spec), dry_run=True)
    assert refused.value.code == 422
    assert path in named(refused.value)


async def test_it_takes_the_valid_example(api: Api, ground: Ground, operators: Operators) -> None:
    await ground.open(NAMESPACE)
    made = await api.create(manifest("valid"), dry_run=True)
    assert made["spec"]["iterations"] == 2


@pytest.mark.parametrize(("path", "status", "spec"), [pytest.param(*case, id=case[0]) for case in table.CHANGED])
async def test_what_past_work_used_cannot_change(
    api: Api, ground: Ground, operators: Operators, path: str, status: RunStatus, spec: dict[str, Any]
) -> None:
    await ground.open(NAMESPACE)
    name = path.lower().replace(".", "-")
    await api.delete("SelfRewardRun", NAMESPACE, name)
    await api.create(manifest(name))
    written = {"status": status.model_dump(mode="json", by_alias=True, exclude_none=True)}
    await api.merge("SelfRewardRun", NAMESPACE, name, written, subresource="status")
    with pytest.raises(ApiError) as refused:
        await api.merge("SelfRewardRun", NAMESPACE, name, {"spec": spec}, dry_run=True)
    assert refused.value.code == 422
    assert path in named(refused.value)
    await api.merge("SelfRewardRun", NAMESPACE, name, {"spec": {"suspend": True}}, dry_run=True)
    await api.delete("SelfRewardRun", NAMESPACE, name)
