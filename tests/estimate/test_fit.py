"""The estimate of time against what was measured, above all on runs that it was not fitted to."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from selfreward.estimate import fitted

ROOT = Path(__file__).parents[2]
NEAR = 0.25
SHORT = 10.0
"""Seconds; of phases that are shorter a few seconds more or less are told, not checked."""


def _fit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fit", ROOT / "benchmarks/gpu/fit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look for their module there.
    sys.modules["fit"] = module
    spec.loader.exec_module(module)
    return module


FIT = _fit()
PHASES = list(FIT.phases(json.loads(FIT.MEASURED.read_text())))
OTHERS = [phase for phase in PHASES if not phase.fitted]
RUNS = sorted({phase.run for phase in PHASES})


def test_what_is_shipped_is_what_the_fit_finds() -> None:
    found, shipped = FIT.rounded(FIT.fit(PHASES)), fitted().model_dump(by_alias=True)
    assert found == pytest.approx(shipped, rel=0.02), "python benchmarks/gpu/fit.py --write"


def test_there_are_runs_that_it_was_not_fitted_to() -> None:
    assert {phase.phase for phase in OTHERS} == {"import", "engine", "exchange", "generation", "training"}


@pytest.mark.parametrize(
    "phase",
    [pytest.param(each, id=f"{each.run}/{each.phase}-{at}") for at, each in enumerate(OTHERS) if each.seconds > SHORT],
)
def test_a_phase_of_another_run_takes_as_long_as_is_said(phase: object) -> None:
    assert phase.predicted(fitted()) == pytest.approx(phase.seconds, rel=NEAR)  # type: ignore[attr-defined]


@pytest.mark.parametrize("run", RUNS)
def test_a_whole_run_takes_as_long_as_is_said(run: str) -> None:
    phases = [phase for phase in PHASES if phase.run == run]
    predicted = sum(phase.predicted(fitted()) for phase in phases)
    assert predicted == pytest.approx(sum(phase.seconds for phase in phases), rel=NEAR)
