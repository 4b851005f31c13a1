"""What docs/install.md tells people to paste."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cel
import pytest
import yaml
from selfreward.api import API_VERSION, KIND

DOC = Path(__file__).parents[2] / "docs" / "install.md"


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
