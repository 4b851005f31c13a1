"""What kstatus makes of a run at each point of its life: nobody waits for days, and no failure is missed."""

from __future__ import annotations

from typing import Any

import pytest
from gitops.argo import health
from gitops.kstatus import Status, computed
from gitops.scenes import NAMES, scene
from plan.runs import a_walk
from plan.walk import Walk
from selfreward.api import Phase
from selfreward.api.crd import custom_resource_definition

EXPECTED = {
    "not-seen": Status.IN_PROGRESS,
    "starting": Status.IN_PROGRESS,
    "running": Status.CURRENT,
    "waiting-for-approval": Status.IN_PROGRESS,
    "waiting-for-schedule": Status.CURRENT,
    "suspended": Status.CURRENT,
    "paused": Status.CURRENT,
    "stalled": Status.FAILED,
    "failed": Status.FAILED,
    "succeeded": Status.CURRENT,
    "raised": Status.IN_PROGRESS,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_read_as_it_is(name: str) -> None:
    assert computed(scene(name)) is EXPECTED[name]


def test_a_run_that_no_operator_has_seen_is_not_current() -> None:
    """The API server gives it this status; without one it would be."""
    schema = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    assert schema["default"] == scene("not-seen")["status"]


def as_seen(walk: Walk) -> dict[str, Any]:
    return walk.run.model_dump(mode="json", by_alias=True, exclude_none=True)


def test_the_conclusions_of_a_life_come_in_order() -> None:
    """From the first look to the end, and after more iterations are asked for: nothing flickers."""
    walk, seen, shown = a_walk(), [], []
    walk.step()
    while walk.status.phase is not Phase.SUCCEEDED:
        seen.append(computed(as_seen(walk)))
        shown.append(health(as_seen(walk))["status"])
        walk.step()
    seen.append(computed(as_seen(walk)))
    assert list(dict.fromkeys(seen)) == [Status.IN_PROGRESS, Status.CURRENT]
    assert sorted(seen, key=[Status.IN_PROGRESS, Status.CURRENT].index) == seen
    assert set(shown) == {"Progressing"}
    assert health(as_seen(walk))["status"] == "Healthy"
    walk.edit(iterations=2)
    assert computed(as_seen(walk)) is Status.IN_PROGRESS
    walk.step()
    assert computed(as_seen(walk)) is Status.CURRENT
    assert health(as_seen(walk))["status"] == "Progressing"
