"""Where a run stands, and the exit code that says so: what waits, is paused or is stalled is no success."""

from __future__ import annotations

from typing import Any

import pytest
from selfreward.api import APPROVED, PAUSED, RETRY, SelfRewardRun
from selfreward.cli.standing import EXIT_CODES, Standing, reason, standing

WHEN = "2026-01-01T00:00:00Z"


def true(*kinds: str) -> dict[str, Any]:
    told = [{"type": kind, "status": "True", "reason": "Because", "message": f"{kind}!"} for kind in kinds]
    return {"conditions": [each | {"lastTransitionTime": WHEN} for each in told]}


def a_run(status: dict[str, Any], annotations: dict[str, str], **metadata: Any) -> SelfRewardRun:
    return SelfRewardRun.model_validate(
        {
            "metadata": {"name": "demo", "annotations": annotations, **metadata},
            "spec": {"model": {"uri": "hf://o/m"}, "schedule": {"approval": True}},
            "status": status,
        }
    )


ENDED = {"finishedAt": WHEN}


@pytest.mark.parametrize(
    ("status", "annotations", "expected", "code"),
    [
        pytest.param({}, {}, Standing.GOING_ON, 0, id="not yet seen"),
        pytest.param({"phase": "Iterating"}, {}, Standing.GOING_ON, 0, id="running"),
        pytest.param({"phase": "Succeeded", **ENDED, **true("Succeeded")}, {}, Standing.SUCCEEDED, 0, id="succeeded"),
        pytest.param({"phase": "Failed", **ENDED, **true("Failed", "Stalled")}, {}, Standing.FAILED, 1, id="failed"),
        pytest.param({**ENDED, **true("Failed")}, {RETRY: "x"}, Standing.GOING_ON, 0, id="tried again"),
        pytest.param({"phase": "Suspended", **true("Suspended")}, {}, Standing.HELD, 2, id="suspended"),
        pytest.param({"phase": "Iterating", **true("Stalled")}, {}, Standing.STALLED, 2, id="stalled"),
        pytest.param({"phase": "Waiting"}, {}, Standing.WAITING, 2, id="waits"),
        pytest.param({"phase": "Waiting", "iteration": 1}, {APPROVED: "1"}, Standing.WAITING, 2, id="an old approval"),
        pytest.param({"phase": "Waiting", "iteration": 1}, {APPROVED: "2"}, Standing.GOING_ON, 0, id="just approved"),
        pytest.param({"phase": "Iterating"}, {PAUSED: "true"}, Standing.HELD, 2, id="left alone by the operator"),
        pytest.param({**ENDED, **true("Succeeded")}, {PAUSED: "true"}, Standing.SUCCEEDED, 0, id="ended, then paused"),
    ],
)
def test_a_run(status: dict[str, Any], annotations: dict[str, str], expected: Standing, code: int) -> None:
    found = standing(a_run(status, annotations))
    assert (found, EXIT_CODES[found]) == (expected, code)


def test_a_status_of_an_older_spec_says_nothing() -> None:
    """Iterations were raised, or the run resumed: the operator has not looked yet."""
    status = {**ENDED, **true("Succeeded"), "observedGeneration": 1}
    assert standing(a_run(status, {}, generation=2)) is Standing.GOING_ON
    assert standing(a_run(status, {}, generation=1)) is Standing.SUCCEEDED


@pytest.mark.parametrize(
    ("status", "words"),
    [
        pytest.param(true("Ready", "Suspended"), "Suspended!", id="what holds it"),
        pytest.param(true("Ready"), "Ready!", id="nothing in particular"),
        pytest.param({}, "", id="nothing at all"),
    ],
)
def test_why(status: dict[str, Any], words: str) -> None:
    assert reason(a_run(status, {})) == words
