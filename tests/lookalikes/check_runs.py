"""`selfreward run` takes every model look-alike from import to M2, served by transformers: a quarter of an hour.

`make nightly` runs it; `make test` walks the same steps without the runner (`test_models.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from lookalikes.models import MODELS, made
from lookalikes.walking import ANSWERS, JUDGE, JUDGED, TRAINING
from tiny_run import ENVIRONMENT

pytestmark = pytest.mark.timeout(1800)
ASKED = ("Name a thing.", "Name a river or a sea.", "Name a colour or a sea.")
"""Questions that were not learnt: what was learnt of others is as likely an answer to them, and candidates differ."""


def written(path: Path, rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """A JSONL file of `rows`; returns its source."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"uri": path.as_uri()}


def spec(name: str, folder: Path) -> dict[str, Any]:
    judged = [
        {"prompt": prompt, "response": response, "critique": "", "score": score}
        for prompt in (*ANSWERS, *ASKED)
        for response, score in JUDGED
    ]
    answers = [{"prompt": prompt, "completion": answer} for prompt, answer in ANSWERS.items()]
    dpo = {"learningRate": 1e-4, "minLearningRate": 1e-4, "batchSize": 2, "maxSteps": 2}
    return {
        "model": {"uri": made(MODELS[name], folder / "model").as_uri()},
        "seedData": {
            "instructions": written(folder / "instructions.jsonl", answers),
            "eft": written(folder / "eft.jsonl", judged),
        },
        "eft": {"mode": "given", "testFraction": 0},
        "iterations": 1,
        "prompts": {
            "generator": "file", "count": 3, "minWords": 1,
            "source": written(folder / "prompts.jsonl", ({"prompt": text} for text in ASKED)),
        },
        "responses": {"perPrompt": 8, "sampling": {"temperature": 1.2, "topP": 1, "maxTokens": 16}},
        "judge": {**JUDGE, "sampling": {"temperature": 1, "topP": 1, "maxTokens": 24}},
        "preferences": {"truncated": "keep"},
        "training": {"sft": TRAINING, "dpo": {**TRAINING, **dpo}},
        "evaluation": {"enabled": False},
        "serving": {"engine": "transformers", "concurrency": 4},
    }  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_run_gets_to_m2(name: str, tmp_path: Path) -> None:
    run = tmp_path / "run.yaml"
    run.write_text(yaml.safe_dump({"metadata": {"name": "tiny"}, "spec": spec(name, tmp_path)}))
    command = [sys.executable, "-m", "selfreward.cli.main", "run", str(run), "--workdir", str(tmp_path / "runs")]
    ended = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    m1, m2 = (tmp_path / f"runs/artifacts/namespace=default/tiny/{model}/model.safetensors" for model in ("m1", "m2"))
    assert m1.read_bytes() != m2.read_bytes()
