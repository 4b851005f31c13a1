"""The estimate of time, fitted to what was measured: `python benchmarks/gpu/fit.py`, and with `--write` written down.

`measurements.json` holds what runs took, phase by phase. Those that say `fitted` are what the parameters of
`selfreward.estimate` are fitted to (least squares of the logarithms of predicted over measured); the others are what
the fit is checked with. Printed are all of them, and how far off each is.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
sys.path[:0] = [str(ROOT / "operator"), str(ROOT / "images")]

from scipy.optimize import least_squares  # noqa: E402
from selfreward.estimate import GPUS, ModelShape, Parameters  # noqa: E402
from selfreward.estimate import time as times  # noqa: E402
from selfreward.estimate.work import Generation, Training  # noqa: E402

MEASURED: Final = HERE / "measurements.json"
FITTED: Final = ROOT / "operator/selfreward/estimate/fitted.json"
ASSUMED: Final = {"decode_bandwidth": 0.6, "decode_compute": 0.5, "prefill_compute": 0.4}
"""What no measured model was limited by."""
START: Final = {
    "step_start": 0.8,
    "import_start": 10.0,
    "engine_start": 50.0,
    "engine_compile": 24.0,
    "engine_first": 9.0,
    "exchange": 3.0,
    "copy_rate": 1e9,
    "engine_tokens": 20_000.0,
    "call": 0.002,
    "shard": 1.8,
    "training_start": 18.0,
    "training_per_billion": 12.0,
    "pass_token": 1e-5,
    "training_flops": 0.15,
}
"""Where the search begins; and all of them are positive, so it goes by their logarithms."""
_FIXED: Final = ("step_start", "engine_compile")
"""Measured as they are: a step that has nothing to do takes 0.6 to 1.2 s, and compiling what
:mod:`selfreward.render.gpu_engine` says."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One measured phase of a run."""

    run: str
    phase: str
    shape: ModelShape
    fitted: bool
    seconds: float
    given: Mapping[str, Any]

    def predicted(self, parameters: Parameters) -> float:
        """Seconds by the estimate."""
        match self.phase:
            case "import":
                return times.import_seconds(parameters, self.shape)
            case "engine":
                return times.engine_seconds(parameters, self.shape, compiles=False)
            case "exchange":
                return times.exchange_seconds(parameters, self.shape)
            case "generation":
                work = Generation(**self.given["answers"]) + Generation(**self.given["judgements"])
                first = parameters.engine_first if self.given["first"] else 0.0
                return first + times.generation_seconds(parameters, times.Servers(GPUS["h200"], self.shape), work)
            case "training":
                return times.training_seconds(parameters, GPUS["h200"], self.shape, self._training(), 1)
        raise ValueError(self.phase)

    def _training(self) -> Training:
        given = self.given
        # What is measured after the training is passed over twice; it was three times in some of these runs.
        measured = given["measured_pairs"] * given["tokens"] / given["examples"] * given["measured_passes"] / 2
        return Training(given["examples"], given["tokens"], given["passes"], measured, given["steps"])


def phases(document: Mapping[str, Any]) -> Iterator[Phase]:
    """All measured phases of `measurements.json`."""
    shapes = {name: ModelShape(**shape) for name, shape in document["models"].items()}
    for run in document["runs"]:
        for given in run["phases"]:
            if "left_out" not in given:
                fitted = given.get("fitted", run["fitted"])
                yield Phase(run["name"], given["phase"], shapes[run["model"]], fitted, given["seconds"], given)


def fit(measured: list[Phase]) -> Parameters:
    """The parameters under which what is predicted of the fitted phases is nearest to what was measured."""
    chosen = [phase for phase in measured if phase.fitted]
    names = [name for name in START if name not in _FIXED]
    fixed = ASSUMED | {name: START[name] for name in _FIXED}

    def of(logarithms: Any) -> Parameters:
        found = {name: math.exp(value) for name, value in zip(names, logarithms, strict=True)}
        return Parameters(**{**fixed, **found, "training_flops": min(1.0, found["training_flops"])})

    def off(logarithms: Any) -> list[float]:
        parameters = of(logarithms)
        # A second of a phase of three is nothing to anybody: differences below that are not chased.
        return [math.log((phase.predicted(parameters) + 1) / (phase.seconds + 1)) for phase in chosen]

    return of(least_squares(off, [math.log(START[name]) for name in names], method="trf", loss="soft_l1").x)


def rounded(parameters: Parameters) -> dict[str, float]:
    """Three significant digits: more was not measured."""
    return {name: float(f"{value:.3g}") for name, value in parameters.model_dump(by_alias=True).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {FITTED.relative_to(ROOT)}")
    given = parser.parse_args()
    measured = list(phases(json.loads(MEASURED.read_text(encoding="utf-8"))))
    found = rounded(fit(measured))
    parameters = Parameters.model_validate(found)
    for phase in measured:
        predicted = phase.predicted(parameters)
        print(
            f"{phase.run:34} {phase.phase:11} {phase.seconds:7.1f} s, predicted {predicted:7.1f} "
            f"({predicted / phase.seconds - 1:+5.0%}){'' if phase.fitted else '  not fitted'}"
        )
    print(json.dumps(found, indent=2))
    if given.write:
        FITTED.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
