"""What a finished run leaves: a model that loads, pairs that load, artifacts that verify, and a report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cluster.conftest import marked
from selfreward_steps.store import open_store
from tiny_run import manifests, output, rows, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def artifacts(workdir: Path) -> Path:
    return workdir / "artifacts" / "namespace=default" / "tiny"


def test_every_artifact_is_what_its_manifest_says(undisturbed: Path) -> None:
    store = open_store(artifacts(undisturbed).as_uri())
    names = store.artifacts()
    assert {"seed", "m0", "sft-baseline", "eft", "m1", "m2", "iteration-1/pairs", "evaluation/m2"} <= set(names)
    assert {name: store.verify(name) for name in names} == {name: [] for name in names}


def test_the_model_loads_differs_from_the_one_before_and_answers(undisturbed: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    before, after = (AutoModelForCausalLM.from_pretrained(artifacts(undisturbed) / name) for name in ("m1", "m2"))
    assert any(not torch.equal(old, new) for old, new in zip(before.parameters(), after.parameters(), strict=True))
    tokenizer = AutoTokenizer.from_pretrained(artifacts(undisturbed) / "m2")
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Why is the sky blue?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    answer = after.generate(**prompt, max_new_tokens=8, do_sample=False)
    assert answer.shape[1] > prompt["input_ids"].shape[1]


def test_the_pairs_load_as_a_dataset(undisturbed: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    pairs = load_dataset(
        "json",
        data_files=str(artifacts(undisturbed) / "iteration-1" / "pairs" / "pairs.jsonl"),
        split="train",
        cache_dir=str(tmp_path),
    )
    assert len(pairs) == rows(undisturbed)["pairs-1"]["metrics"]["pairs"] > 0
    assert {"prompt", "chosen", "rejected", "chosen_score", "rejected_score"} <= set(pairs.column_names)
    assert all(pair["chosen_score"] > pair["rejected_score"] for pair in pairs)


def test_it_ends_with_a_table_samples_and_where_things_lie(undisturbed: Path) -> None:
    said = output(undisturbed)
    for key in rows(undisturbed):
        assert f" {key} " in said
    assert said.count("prompt     ") >= 1
    assert "chosen " in said
    assert "rejected " in said
    assert "judge said" in said
    for place in ("m2", "iteration-1/pairs/pairs.jsonl", "evaluation/m2/metrics.json"):
        path = artifacts(undisturbed) / place
        assert path.exists()
        assert str(path) in said
    assert "run tiny succeeded in " in said


def test_it_leaves_a_report_with_the_artifacts_numbers(undisturbed: Path) -> None:
    page = undisturbed / "tiny" / "report.html"
    assert f"report   {page}\n" in output(undisturbed)
    text = page.read_text()
    judge = json.loads((artifacts(undisturbed) / "evaluation" / "m2" / "metrics.json").read_text())["judge"]
    accuracy = judge["pairwise_accuracy"]
    low, high = (f"{100 * accuracy[end]:.0f}" for end in ("low", "high"))
    assert f"{accuracy['value']:.0%} [{low}–{high}]" in text
    statistics = json.loads((artifacts(undisturbed) / "iteration-1" / "pairs" / "statistics.json").read_text())
    assert f"All {statistics['prompts']} prompts with {statistics['candidates']} candidates." in text
    assert all(key in text for key in rows(undisturbed))


def test_nothing_runs_any_more(undisturbed: Path) -> None:
    assert marked(str(undisturbed / "tiny")) == []


def test_the_same_command_again_does_nothing_but_report(tiny_run: Path, undisturbed: Path) -> None:
    before, record = manifests(undisturbed), (undisturbed / "tiny" / "status.json").read_bytes()
    said = len(output(undisturbed))
    with start(tiny_run, undisturbed) as runner:
        assert runner.wait(timeout=120) == 0
    assert "run tiny succeeded in " in output(undisturbed)[said:]
    assert "step started" not in output(undisturbed)[said:]
    assert manifests(undisturbed) == before
    assert (undisturbed / "tiny" / "status.json").read_bytes() == record


def test_a_used_setting_cannot_change(tiny_run: Path, undisturbed: Path) -> None:
    said = len(output(undisturbed))
    with start(tiny_run, undisturbed, "--set", "spec.randomSeed=7") as runner:
        assert runner.wait(timeout=120) == 64
    assert output(undisturbed)[said:] == (
        f"{tiny_run}: spec.randomSeed: 7: cannot change once the base model is imported; use a new run (it was 0)\n"
    )


def test_status_shows_what_it_did(undisturbed: Path) -> None:
    command = [sys.executable, "-m", "selfreward.cli.main", "status", "tiny", "--workdir", str(undisturbed)]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Succeeded" in table
    assert "dpo-1" in table
    document = json.loads(subprocess.run([*command, "-o", "json"], capture_output=True, text=True, check=True).stdout)
    conditions = {condition["type"]: condition["status"] for condition in document["status"]["conditions"]}
    assert (conditions["Succeeded"], conditions["Ready"]) == ("True", "True")
    assert (document["status"]["phase"], document["status"]["model"]) == ("Succeeded", "m2")
