"""A whole run on this machine whose model is chosen among checkpoints: a real training, each served in its turn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from selfreward_steps.store import open_store
from tiny_run import output, rows, spec, start, write_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_the_chosen_checkpoint_is_the_model(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"Question number {number}?"}) + "\n" for number in range(11)))
    dpo = spec(tmp_path)["training"]["dpo"] | {"maxSteps": 3, "selection": {"checkpoints": 2, "prompts": 3}}
    run = write_run(
        tmp_path,
        seedData={},
        prompts={"generator": "file", "count": 8, "source": {"uri": prompts.as_uri()}},
        evaluation={"enabled": False},
        training={"dpo": dpo},
    )
    assert start(run, tmp_path / "work").wait(timeout=800) == 0, output(tmp_path / "work")
    done = rows(tmp_path / "work")
    assert [key for key in done if "checkpoint" in key] == ["respond-m2-checkpoint-1", "respond-m2-checkpoint-2"]
    store = open_store((tmp_path / "work" / "artifacts" / "namespace=default" / "tiny").as_uri())
    chosen = done["select-1"]["metrics"]["selected"]
    name = "model.safetensors"
    assert store.open("m2", name).read() == store.open(f"m2-checkpoint-{chosen:.0f}", name).read()
    weights = {store.open(each, name).read() for each in ("m0", "m2-checkpoint-1", "m2-checkpoint-2")}
    assert len(weights) == 3
    assert done["select-1"]["metrics"]["comparisons"] == 3
    assert {each: store.verify(each) for each in store.artifacts() if store.verify(each)} == {}
