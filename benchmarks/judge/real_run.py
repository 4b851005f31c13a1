"""The run on people's rankings, split by prompt: what it learns from, and what tests its models as judges."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

NAME: Final = "judge"
HELD_OUT: Final = 0.3
"""Share of the prompts that nothing is trained on: their rankings test every judge, and the models answer them."""


def walk(
    model: Path,
    rankings: Path,
    out: Path,
    prompts: int,
    answer_tokens: int,
    overrides: Sequence[str],
    environment: Mapping[str, str],
) -> float:
    """Walk the run to its end, or on to it; returns the seconds that this took. What it says stands in `run.log`."""
    by_prompt: dict[str, list[dict[str, Any]]] = {}
    for line in rankings.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        by_prompt.setdefault(row["prompt_id"], []).append(row)
    learnt = [answers for name, answers in by_prompt.items() if not is_held_out(name)]
    instructions = out / "instructions.jsonl"
    instructions.write_text("".join(json.dumps(best) + "\n" for best in map(_best, learnt)), encoding="utf-8")
    file = out / "run.json"
    spec = _spec(model, rankings, instructions, prompts, answer_tokens, held_out=len(by_prompt) - len(learnt))
    head = {"apiVersion": "selfreward.dev/v1alpha1", "kind": "SelfRewardRun", "metadata": {"name": NAME}}
    file.write_text(json.dumps({**head, "spec": spec}, indent=1))
    command = [sys.executable, "-m", "selfreward.cli.main", "run", str(file), "--workdir", str(out / "runs"), "--plain"]
    sets = [word for each in overrides for word in ("--set", each)]
    began = time.time()
    with (out / "run.log").open("a") as log:
        ended = subprocess.run([*command, *sets], stdout=log, stderr=subprocess.STDOUT, env=environment, check=False)
    if ended.returncode:
        sys.exit(f"the run failed: see {out / 'run.log'}")
    return time.time() - began


def is_held_out(prompt_id: str) -> bool:
    """Drawn by a hash, so that it does not depend on the other prompts."""
    return int.from_bytes(hashlib.sha256(prompt_id.encode()).digest()[:8]) < HELD_OUT * 2**64


def artifacts(out: Path) -> Path:
    """What the run has committed."""
    return out / "runs" / "artifacts" / "namespace=default" / NAME


def judges(store: Path) -> dict[str, Any]:
    """What the run's evaluation says of each model: as a judge, and how long its answers are."""
    found = {}
    for folder in sorted((store / "evaluation").glob("m*")):
        report = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        found[folder.name] = {"judge": report["judge"], "mean_chars": report["answers"]["mean_chars"]}
    return found


def _best(answers: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What people rated highest, as an instruction."""
    best = max(answers, key=lambda answer: -1.0 if answer["quality_score"] is None else answer["quality_score"])
    return {"prompt": best["prompt_text"], "completion": best["response_text"]}


def _spec(
    model: Path, rankings: Path, instructions: Path, prompts: int, answer_tokens: int, held_out: int
) -> dict[str, Any]:
    """The judge learns from people's order; rates for a model of a hundred million weights."""
    return {
        "model": {"uri": model.as_uri()},
        "seedData": {"instructions": {"uri": instructions.as_uri()}, "rankings": {"uri": rankings.as_uri()}},
        # A prompt among the instructions tests nobody: however much of the rankings is asked for, the held-out ones are
        # all that there is.
        "eft": {"mode": "direct", "testFraction": 0.9},
        "iterations": 2,
        "prompts": {"count": prompts},
        "responses": {"sampling": {"maxTokens": answer_tokens}},
        "training": {
            "sft": {"learningRate": 3.0e-5, "minLearningRate": 3.0e-6, "perDeviceBatchSize": 16, "epochs": 2},
            "dpo": {"learningRate": 3.0e-6, "minLearningRate": 3.0e-7, "perDeviceBatchSize": 16},
        },
        "evaluation": {"prompts": held_out, "sampling": {"maxTokens": answer_tokens}},
        "randomSeed": 7,
    }
