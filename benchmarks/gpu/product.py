"""The product's part: a run from the base model, and the seconds of its phases from the run's own record."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from datetime import datetime
from math import prod
from pathlib import Path
from typing import Any, Final

from setting import JUDGE, Setting

NAME: Final = "benchmark"
CLI: Final = (sys.executable, "-m", "selfreward.cli.main")


def run_product(model: Path, prompts: Path, folder: Path, setting: Setting) -> dict[str, Any]:
    """Walk the run to its end; an unfinished one goes on."""
    command = prepared(model, prompts, folder, setting)
    began = time.time()
    with (folder / "run.log").open("a") as log:
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=True)
    return {"wall": time.time() - began, "parameters": parameters(model), **read(folder, setting.iterations)}


def prepared(model: Path, prompts: Path, folder: Path, setting: Setting) -> list[str]:
    """Write the run's file; returns the command that walks it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "run.json"
    file.write_text(json.dumps(manifest(model, prompts, setting), indent=1))
    return [*CLI, "run", str(file), "--workdir", str(folder), "--plain"]


def drop_weights(folder: Path) -> None:
    """Remove the weights of a finished run, which its numbers do without: the disk is the next run's."""
    for file in folder.glob("**/*.safetensors"):
        file.unlink()


def manifest(model: Path, prompts: Path, setting: Setting) -> dict[str, Any]:
    """The run: no seed data, so M1 is the base model; the prompts of a file; no evaluation, as the script has none."""
    per_device = {"perDeviceBatchSize": setting.per_device} if setting.per_device else {}
    rate = {"learningRate": setting.learning_rate, "minLearningRate": setting.learning_rate / 10}
    spec = {
        "model": {"uri": model.as_uri()},
        "iterations": setting.iterations,
        "prompts": {"count": setting.prompt_count, "generator": "file", "source": {"uri": prompts.as_uri()}},
        "responses": {"perPrompt": setting.candidates, "sampling": {"maxTokens": setting.answer_tokens}},
        "judge": {**JUDGE, "samples": setting.judgements, "sampling": {"maxTokens": setting.judgement_tokens}},
        "preferences": {"truncated": "keep"},
        "training": {
            "processesPerNode": setting.training_processes,
            "dpo": {**rate, "batchSize": setting.batch, "epochs": 1, **per_device},
        },
        "evaluation": {"enabled": False},
        "serving": {
            "maxModelLength": setting.context,
            "tensorParallel": setting.tensor_parallel,
            "replicas": setting.replicas,
        },
        "randomSeed": setting.seed,
    }
    return {
        "apiVersion": "selfreward.dev/v1alpha1",
        "kind": "SelfRewardRun",
        "metadata": {"name": NAME},
        "spec": laid_over(spec, json.loads(setting.extra)),
    }


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`below` with what `above` says otherwise."""
    shared = (key for key, value in above.items() if isinstance(value, dict) and key in below)
    return {**below, **above, **{key: laid_over(below[key], above[key]) for key in shared}}


def read(folder: Path, iterations: int) -> dict[str, Any]:
    """Phases of a finished run: seconds from its record, of servers from its log, and its steps' numbers."""
    record = json.loads((folder / NAME / "status.json").read_text())
    rows = {row["key"]: row for part in record["status"]["iterations"] for row in part["steps"]}
    times = {key: (moment(row["startedAt"]), moment(row["finishedAt"])) for key, row in rows.items()}
    found, windows = [], {}
    model_at = times["import"][1]
    for number in range(1, iterations + 1):
        respond, judge = times[f"respond-{number}"], times[f"judge-{number}"]
        pairs, train = times[f"pairs-{number}"], times[f"dpo-{number}"]
        found.append(
            {
                "model_to_model": train[1] - model_at,
                "serving": respond[0] - max(model_at, times[f"prompts-{number}"][1]),
                "answers": respond[1] - respond[0],
                "judgements_after": max(0.0, judge[1] - respond[1]),
                "pairs": pairs[1] - judge[1],
                "training": train[1] - pairs[1],
                "metrics": {
                    step: rows[f"{step}-{number}"].get("metrics", {}) for step in ("respond", "judge", "pairs", "dpo")
                },
            }
        )
        windows[f"iteration {number}"] = (model_at, train[1])
        windows[f"generation {number}"] = (respond[0], judge[1])
        # The engine has given its memory back by the time that the training is begun, and a look may be a second late.
        windows[f"training {number}"] = (train[0] + 1, train[1])
        model_at = train[1]
    return {
        "import": times["import"][1] - times["import"][0],
        "iterations": found,
        "windows": windows,
        "prefix_hit_rates": prefix_hit_rates(folder),
    }


def prefix_hit_rates(folder: Path) -> list[float]:
    """The share of prompt tokens that vLLM found in its prefix cache, as its log says every ten seconds."""
    logs = sorted((folder / NAME).glob("**/server.log"))
    told = [re.findall(r"Prefix cache hit rate: ([0-9.]+)%", log.read_text(errors="replace")) for log in logs]
    return [float(share) / 100 for shares in told for share in shares]


def parameters(model: Path) -> int:
    """Weights of a model's folder, by the headers of its files."""
    count = 0
    for file in model.glob("*.safetensors"):
        with file.open("rb") as opened:
            header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
        count += sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    return count


def moment(text: str) -> float:
    """Seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()
