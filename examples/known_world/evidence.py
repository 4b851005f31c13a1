"""The evidence: the world's run on several seeds, the paper's contrasts, and collapse made on purpose.

    python -m known_world.evidence FOLDER --seeds 0 1 2 3 4

Each run is the world's run with one thing changed. It writes FOLDER/results.jsonl, a row a run, and prints the tables
of docs/evidence.md. It may be killed and started again: what a run has committed is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from known_world.seed_data import Taste, flattering, human, length_loving, write_seed_data
from known_world.truth import ModelTruth, models_truth, statistics
from known_world.world import ITERATIONS, spec, write_run

Spec = dict[str, Any]
LENGTH_LIMIT = 1.2
"""Growth over M1 at which the world's length gate trips: answers there cannot grow as far as real ones."""


@dataclass(frozen=True)
class Variant:
    """The world's run, but for one change."""

    name: str
    what: str
    change: Callable[[Spec], None] = lambda spec: None
    reviewer: Taste = human


def _positive_only(spec: Spec) -> None:
    spec["preferences"] = {"strategy": "positive-only"}


def _without_eft(spec: Spec) -> None:
    del spec["eft"], spec["seedData"]["eft"], spec["seedData"]["rankings"]
    spec["iterations"] = 1


def _length_controlled(spec: Spec) -> None:
    spec["preferences"] = {"lengthControl": [RHO]}


def _once(spec: Spec) -> None:
    spec["iterations"] = 1


RHO = 0.5
"""Of Meta-Rewarding; chosen on seed 100, like everything else here."""
VARIANTS = (
    Variant("main", "the method"),
    Variant("positive-only", "the best answers as SFT data, no rejected ones", _positive_only),
    Variant("no-eft", "SFT on instructions alone", _without_eft),
    Variant("length", "the judge learnt from people who love length", reviewer=length_loving),
    Variant("length-controlled", f"the same judge, length control ρ = {RHO}", _length_controlled, length_loving),
    Variant("flattery", "the judge learnt from people who always say 5", _once, flattering),
)


@dataclass(frozen=True)
class Result:
    """What came of one run."""

    variant: str
    seed: int
    models: list[ModelTruth]
    pairs: list[int]
    """By iteration; fewer than there are iterations when the run ended early."""
    prompts: int
    """Of each iteration."""
    gates: list[str]
    """What the condition GateTripped says."""
    failure: str
    """Why the run failed; empty when it succeeded."""
    seconds: float


def run_variant(folder: Path, variant: Variant, seed: int) -> Result:
    """Run the variant in the world of `seed`, whose M0 is there, and ask the truth."""
    seeded = folder / f"seed-{seed}"
    world = seeded / variant.name
    write_seed_data(world / "data", seed, variant.reviewer)
    changed = spec(world, seeded / "m0", seed) | {"gates": {"lengthGrowth": {"maximum": LENGTH_LIMIT}}}
    variant.change(changed)
    file, runs = world / "run.yaml", seeded / "runs"
    write_run(file, variant.name, changed)
    started = time.time()
    with (world / "log").open("w") as log:
        subprocess.run(
            [sys.executable, "-m", "selfreward.cli.main", "run", str(file), "--workdir", str(runs), "--plain"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(),
            check=False,
        )
    return _result(runs, variant, seed, changed, time.time() - started)


def _base_model(seeded: Path, seed: int) -> None:
    """M0, which every run of a seed starts from; in a process of its own, so that several are made at a time."""
    if not (seeded / "m0" / "model.safetensors").exists():
        subprocess.run(
            [sys.executable, "-m", "known_world.world", str(seeded), "--seed", str(seed)],
            env=_environment(),
            check=True,
        )


def _environment() -> dict[str, str]:
    """One thread a process: so small a model gains nothing by more, and threads of several that spin stand still."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def _result(runs: Path, variant: Variant, seed: int, spec: Spec, seconds: float) -> Result:
    status = json.loads((runs / variant.name / "status.json").read_text())["status"]
    conditions = {each["type"]: each for each in status["conditions"] if each["status"] == "True"}
    artifacts = runs / "artifacts" / "namespace=default" / variant.name
    counted = [statistics(artifacts, iteration) for iteration in range(1, ITERATIONS + 1)]
    return Result(
        variant=variant.name,
        seed=seed,
        models=models_truth(artifacts),
        pairs=[each["pairs"] for each in counted if each is not None],
        prompts=spec["prompts"]["count"],
        gates=[conditions["GateTripped"]["message"]] if "GateTripped" in conditions else [],
        failure=conditions["Failed"]["message"] if "Failed" in conditions else "",
        seconds=round(seconds, 1),
    )


def table(results: Sequence[Result]) -> str:
    """Markdown: a row a run."""
    lines = [
        "| run | seed | true quality M1 → M2 → M3 | words an answer | judge right | longest wins | pairs | told |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        models = result.models
        cells = [
            result.variant,
            str(result.seed),
            " → ".join(f"{model.quality:.2f}" for model in models),
            " → ".join(f"{model.words:.1f}" for model in models),
            " → ".join("–" if model.judge is None else f"{model.judge:.3f}" for model in models),
            f"{models[0].longest:.3f}" if models and models[0].longest is not None else "–",
            f"{', '.join(map(str, result.pairs)) or 'none'} of {result.prompts}",
            _told(result),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _told(result: Result) -> str:
    """What the user was told: the reasons of a failure, and the gates by name."""
    told = [result.failure.split(":")[1].strip()] if ":" in result.failure else []
    told += [f"gates.{name}" for name in dict.fromkeys(re.findall(r"gates\.(\w+)", " ".join(result.gates)))]
    return ", ".join(told) or "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--variants", nargs="+", default=[each.name for each in VARIANTS])
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time; each keeps a core busy")
    options = parser.parse_args()
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    variants = [each for each in VARIANTS if each.name in options.variants]
    results: list[Result] = []
    with ThreadPoolExecutor(options.jobs) as pool, (folder / "results.jsonl").open("w", encoding="utf-8") as file:
        list(pool.map(lambda seed: _base_model(folder / f"seed-{seed}", seed), options.seeds))
        runs = [pool.submit(run_variant, folder, variant, seed) for variant in variants for seed in options.seeds]
        for run in runs:
            results.append(run.result())
            file.write(json.dumps(asdict(results[-1])) + "\n")
            file.flush()
            print(table(results[-1:]).splitlines()[-1], flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
