"""The evidence: a world's run on several seeds, each with one thing changed (`variants.py`).

    python -m known_world.evidence FOLDER --seeds 0 1 2 3 4
    python -m known_world.evidence FOLDER --world careless --jobs 24 --cpu

The plain world has the paper's contrasts and collapse made on purpose, the careless one the means by which a judge may
get better. It writes FOLDER/results.jsonl, a row a run as they end, and prints the tables of docs/evidence.md. It may
be killed and started again: what a run has committed is not done again. A run that cannot be made is told, and the
others go on.
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
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from known_world import careless, seed_data, world
from known_world.summary import summary
from known_world.truth import ModelTruth, models_truth, statistics
from known_world.variants import JUDGING, PLAIN, Spec, Variant
from known_world.world import ITERATIONS

LENGTH_LIMIT = 1.2
"""Growth over M1 at which the world's length gate trips: answers there cannot grow as far as real ones."""


@dataclass(frozen=True)
class World:
    """One of the worlds: its people, its run, its base model, and the runs that are made in it."""

    write_seed_data: Callable[[Path, int, Variant], None]
    spec: Callable[[Path, Path, int], Spec]
    module: str
    """Makes a base model."""
    variants: Sequence[Variant]


WORLDS = {
    "plain": World(
        lambda folder, seed, variant: seed_data.write_seed_data(folder, seed, variant.reviewer),
        world.spec,
        "known_world.world",
        PLAIN,
    ),
    "careless": World(
        lambda folder, seed, variant: careless.write_seed_data(folder, seed),
        careless.spec,
        "known_world.careless",
        JUDGING,
    ),
}


@dataclass(frozen=True)
class Options:
    """What is run, and how."""

    folder: Path
    world: World
    prompts: int | None
    """Of each iteration, if not the world's."""
    base_steps: int | None
    """Of M0's pretraining, likewise."""
    cpu: bool
    """Whether runs leave GPUs alone; M0's pretraining does not, which saves minutes."""


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
    tokens: int = 0
    """Generated for the iterations: answers, judgements and what is said of these."""
    told: dict[str, float] = field(default_factory=dict)
    """Numbers of the steps that say how the judging went, as `step:number`."""


TOLD = re.compile(r"drift|position_bias|consisten|judgement_pairs|disputes|flipped|parse_rate|reward_accuracy")


def run_variant(options: Options, variant: Variant, seed: int) -> Result:
    """Run the variant in the world of `seed`, whose M0 is there, and ask the truth."""
    seeded = options.folder / f"seed-{seed}"
    place = seeded / variant.name
    options.world.write_seed_data(place / "data", seed, variant)
    changed = options.world.spec(place, seeded / "m0", seed) | {"gates": {"lengthGrowth": {"maximum": LENGTH_LIMIT}}}
    if options.prompts is not None:
        changed["prompts"]["count"] = options.prompts
    variant.change(changed)
    file, runs = place / "run.yaml", seeded / "runs"
    world.write_run(file, variant.name, changed)
    started = time.time()
    with (place / "log").open("w") as log:
        subprocess.run(
            [sys.executable, "-m", "selfreward.cli.main", "run", str(file), "--workdir", str(runs), "--plain"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment() | ({"CUDA_VISIBLE_DEVICES": ""} if options.cpu else {}),
            check=False,
        )
    return _result(runs, variant, seed, changed, time.time() - started)


def _base_model(options: Options, seed: int) -> None:
    """M0, which every run of a seed starts from; in a process of its own, so that several are made at a time."""
    seeded = options.folder / f"seed-{seed}"
    steps = [] if options.base_steps is None else ["--steps", str(options.base_steps)]
    # Written last: one that was killed before is made again.
    if not (seeded / "m0" / "tokenizer.json").exists():
        subprocess.run(
            [sys.executable, "-m", options.world.module, str(seeded), "--seed", str(seed), *steps],
            env=_environment(),
            check=True,
        )


def _environment() -> dict[str, str]:
    """One thread a process: so small a model gains nothing by more, and threads of several that spin stand still."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def _result(runs: Path, variant: Variant, seed: int, spec: Spec, seconds: float) -> Result:
    status = json.loads((runs / variant.name / "status.json").read_text())["status"]
    steps = [step for iteration in status["iterations"] for step in iteration["steps"]]
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
        failure=_failure(status, conditions),
        seconds=round(seconds, 1),
        tokens=round(sum(_number(step, "completion_tokens") for step in steps if step["step"] in ("respond", "judge"))),
        told={f"{step['key']}:{name}": value for step in steps for name, value in _told_of(step).items()},
    )


def _failure(status: dict[str, Any], conditions: dict[str, Any]) -> str:
    if "Failed" in conditions:
        return str(conditions["Failed"]["message"])
    return "" if status.get("finishedAt") else "the run: Unfinished: see its log"


def _not_made(variant: Variant, seed: int, error: Exception) -> Result:
    """What is told of a run that could not be made, or not be read."""
    why = f"the run: {type(error).__name__}: {error}"
    return Result(variant.name, seed, models=[], pairs=[], prompts=0, gates=[], failure=why, seconds=0.0)


def _told_of(step: dict[str, Any]) -> dict[str, float]:
    """What a step says of the judging, and how many seconds a judging one took."""
    metrics = step.get("metrics") or {}
    found = {name: value for name, value in metrics.items() if TOLD.search(name) and "head_to_head" not in name}
    if step["step"] == "judge" and step.get("finishedAt"):
        ended, began = (datetime.fromisoformat(step[name]) for name in ("finishedAt", "runningAt"))
        found["seconds"] = round((ended - began).total_seconds(), 2)
        found["requests"] = metrics.get("requests", 0)
    return found


def _number(step: dict[str, Any], name: str) -> float:
    return float((step.get("metrics") or {}).get(name, 0))


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
    parser.add_argument("--world", choices=list(WORLDS), default="plain")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--variants", nargs="+", help="names; all of the world otherwise")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time; each keeps a core busy")
    parser.add_argument("--prompts", type=int, help="of each iteration, for a trial")
    parser.add_argument("--base-steps", type=int, help="of M0's pretraining, for a trial")
    parser.add_argument("--cpu", action="store_true", help="runs leave GPUs alone")
    given = parser.parse_args()
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    options = Options(folder, WORLDS[given.world], given.prompts, given.base_steps, given.cpu)
    variants = [each for each in options.world.variants if given.variants is None or each.name in given.variants]
    results: list[Result] = []
    with ThreadPoolExecutor(given.jobs) as pool, (folder / "results.jsonl").open("w", encoding="utf-8") as file:
        made = {seed: pool.submit(_base_model, options, seed) for seed in given.seeds}

        def run(variant: Variant, seed: int) -> Result:
            try:
                made[seed].result()  # begun before every run, so it is never waited for in vain
                return run_variant(options, variant, seed)
            except Exception as error:  # noqa: BLE001 - one run's fault is no reason to lose the others
                return _not_made(variant, seed, error)

        # Seed by seed: what is cut off is the last seeds, and the others are whole.
        runs = [pool.submit(run, variant, seed) for seed in given.seeds for variant in variants]
        for ended in as_completed(runs):
            results.append(ended.result())
            file.write(json.dumps(asdict(results[-1])) + "\n")
            file.flush()
            print(table(results[-1:]).splitlines()[-1], flush=True)
    order = [each.name for each in variants]
    results.sort(key=lambda result: (order.index(result.variant), result.seed))
    print(table(results))
    print(summary(results))


if __name__ == "__main__":
    main()
