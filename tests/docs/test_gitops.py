"""What docs/gitops.md tells people to paste."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cel
import pytest
import yaml
from gitops.argo import health
from gitops.kstatus import computed
from gitops.scenes import scene
from selfreward.api import API_VERSION, APPROVED, KIND, SelfRewardRun
from selfreward.api.rules import violations

DOC = Path(__file__).parents[2] / "docs" / "gitops.md"


def conditions(**status: str) -> list[dict[str, str]]:
    return [{"type": kind, "status": value} for kind, value in status.items()]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({"observedGeneration": -1}, "inProgress", id="not-seen"),
        pytest.param(
            {"observedGeneration": 2, "conditions": conditions(Ready="True", Succeeded="Unknown", Failed="False")},
            "inProgress",
            id="running",
        ),
        pytest.param(
            {"observedGeneration": 1, "conditions": conditions(Succeeded="True", Failed="False")},
            "inProgress",
            id="raised-since",
        ),
        pytest.param(
            {"observedGeneration": 2, "conditions": conditions(Succeeded="True", Failed="False")},
            "current",
            id="succeeded",
        ),
        pytest.param(
            {"observedGeneration": 2, "conditions": conditions(Succeeded="False", Failed="True")}, "failed", id="failed"
        ),
    ],
)
def test_flux_sees_a_run_as_it_is(status: dict[str, Any], expected: str) -> None:
    (block,) = re.findall(r"```yaml\n(healthCheckExprs:.+?)```", DOC.read_text(), re.S)
    (check,) = yaml.safe_load(block)["healthCheckExprs"]
    assert (check["apiVersion"], check["kind"]) == (API_VERSION, KIND)
    run = {"metadata": {"generation": 2}, "status": status}
    # The first that holds, in Flux's order.
    assert next(state for state in ("inProgress", "failed", "current") if cel.evaluate(check[state], run)) == expected


def test_the_run_that_merges_drive_is_a_run() -> None:
    (block,) = re.findall(r"```yaml\n(apiVersion: selfreward.+?)```", DOC.read_text(), re.S)
    run = SelfRewardRun.model_validate(yaml.safe_load(block))
    assert violations(run) == []
    assert run.metadata.annotations == {APPROVED: "1"}
    assert run.spec.schedule is not None


def test_the_table_of_health_is_what_is_computed() -> None:
    """Row by row, of the scenes that the scripts are tried on."""
    rows = re.findall(r"^\| ([^|]+) \| (\w+)[^|]* \| (\w+)[^|]* \|$", section("How health is read"), re.M)
    said = {row[0]: row[1:] for row in rows if row[1] not in ("kstatus", "as")}
    names = {
        "not seen by the operator, or changed since": ("not-seen", "raised"),
        "starts: no pod yet": ("starting",),
        "runs, or waits for `schedule.cron`": ("running", "waiting-for-schedule"),
        "waits for approval": ("waiting-for-approval",),
        "is suspended": ("suspended",),
        "somebody must act (`Stalled`), or it has failed": ("stalled", "failed"),
        "has its last model": ("succeeded",),
    }
    assert said.keys() == names.keys()
    for row, scenes in names.items():
        for name in scenes:
            assert (computed(scene(name)), health(scene(name))["status"]) == said[row]


def section(title: str) -> str:
    return DOC.read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
