"""A world in a folder: M0, what its people left, and the file of a run in it.

python -m known_world.world WORLD --seed 0        # M0 and the seed data
selfreward run WORLD/run.yaml --workdir WORLD/runs
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from known_world.language import JUDGE
from known_world.seed_data import PROMPTS, write_seed_data

ITERATIONS = 2


def spec(world: Path, base_model: Path, seed: int) -> dict[str, Any]:
    """The run: the paper's method and sampling; what differs is what a model of a hundred thousand weights needs."""
    data = world / "data"
    # By path, and without its folder on the module path: the server needs nothing else of the world.
    server = [sys.executable, "-P", str(Path(__file__).with_name("server.py")), "--port", "$(SELFREWARD_PORT)"]
    training = {"dropout": 0.0, "maxLength": 64, "warmupRatio": 0.1, "precision": "fp32", "checkpointSteps": 100_000}
    return {
        "model": {"uri": base_model.as_uri()},
        "seedData": {name: {"uri": (data / f"{name}.jsonl").as_uri()} for name in ("instructions", "rankings", "eft")},
        "eft": {"mode": "given", "testFraction": 0.99},
        "iterations": ITERATIONS,
        "prompts": {
            "generator": "file",
            "source": {"uri": (data / "prompts.jsonl").as_uri()},
            "count": PROMPTS // ITERATIONS,
        },
        "responses": {"sampling": {"maxTokens": 24}},
        "judge": {
            "template": "custom",
            "customTemplate": {"text": JUDGE},
            "sampling": {"maxTokens": 12},
        },
        "training": {
            "sft": {
                **training,
                "learningRate": 1.0e-3,
                "minLearningRate": 1.0e-4,
                "batchSize": 32,
                "perDeviceBatchSize": 32,
                "epochs": 4,
            },
            "dpo": {
                **training,
                "learningRate": 1.0e-4,
                "minLearningRate": 1.0e-5,
                "batchSize": 16,
                "perDeviceBatchSize": 16,
                "epochs": 1,
            },
        },
        # The answers that the truth is asked about: sampled as candidates are, to prompts that no training saw.
        "evaluation": {"prompts": 150, "sampling": {"temperature": 0.7, "topP": 0.9, "maxTokens": 24}},
        "serving": {
            "command": [*server, "--model-dir", "$(SELFREWARD_MODEL_DIR)", "--name", "$(SELFREWARD_MODEL_NAME)"],
            "generationShards": 1,
        },
        "randomSeed": seed,
    }


def make_world(world: Path, seed: int, steps: int = 400) -> None:
    """`m0/`, `data/` and `run.yaml` under `world`; `steps` of M0's pretraining."""
    from known_world.model import make_base_model  # torch takes seconds, which `--help` need not

    write_seed_data(world / "data", seed)
    make_base_model(world / "m0", seed, steps)
    write_run(world / "run.yaml", "world", spec(world, world / "m0", seed))


def write_run(path: Path, name: str, spec: dict[str, Any]) -> None:
    """A run's file."""
    run = {"apiVersion": "selfreward.dev/v1alpha1", "kind": "SelfRewardRun", "metadata": {"name": name}, "spec": spec}
    path.write_text(yaml.safe_dump(run, sort_keys=False), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", type=Path, help="folder to make")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=400, help="of M0's pretraining")
    options = parser.parse_args()
    make_world(options.world.absolute(), options.seed, options.steps)


if __name__ == "__main__":
    main()
