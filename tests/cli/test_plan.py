"""`selfreward plan`, as the user runs it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli.conftest import Command
from cli.test_model_size import SMALL
from selfreward.cli.errors import CommandError
from selfreward.cli.planning import planning
from selfreward.cli.planning.planning import Asked
from selfreward.estimate.hardware import GPUS, gpu_named
from selfreward_steps.contract import parameters_of_config

ASKED = Asked(
    gpu="h100",
    gpus=None,
    for_cluster=False,
    model="8B",
    lengths="0.3:0.7",
    prompt_tokens=100,
    instructions=None,
    rankings=None,
)

RUN = {
    "apiVersion": "selfreward.dev/v1alpha1",
    "kind": "SelfRewardRun",
    "metadata": {"name": "demo"},
    "spec": {
        "model": {"uri": "hf://a/b"},
        "seedData": {"instructions": {"uri": "file://rows.jsonl"}},
        "prompts": {"count": 1000, "source": {"uri": "hf://datasets/a/b"}},
    },
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(RUN))
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * 7)
    return path


def test_the_table_has_every_step_and_what_it_rests_on(selfreward: Command, file: Path) -> None:
    answer = selfreward("plan", str(file), "--gpu", "h200", "--model", "1.7B")
    assert (answer.code, answer.err) == (0, "")
    first, *_ = answer.out.splitlines()
    assert first == "demo: 1.70 billion parameters on 1 × h200; one engine for all models, asleep while training"
    assert all(word in answer.out for word in ("serving m1", "respond-2", "dpo-2", "GPU-hours", "7 instructions"))
    assert "were not checked" in answer.out


def test_json_has_bytes_seconds_and_both_ends(selfreward: Command, file: Path) -> None:
    arguments = ("--gpu", "h100", "--gpus", "2", "--model", "1.7B", "--lengths", "0.5:0.5", "-o", "json")
    found = json.loads(selfreward("plan", str(file), *arguments).out)
    assert found["hardware"] == {"gpu": "h100", "gpus": 2, "gpuBytes": 80 << 30}
    assert found["assumed"]["instructions"] == 7
    (respond,) = [step for step in found["steps"] if step["step"] == "respond-1"]
    assert respond["answerTokens"] == {"low": 4000 * 512, "high": 4000 * 512}
    assert found["total"]["gpuHours"]["high"] == pytest.approx(
        sum(step["gpuHours"]["high"] for step in found["steps"]), abs=0.01
    )


@pytest.mark.parametrize(
    ("changed", "overrides", "said"),
    [
        pytest.param({"gpu": None}, [], "--gpu: is needed", id="no-gpu"),
        pytest.param({"gpu": "abacus"}, [], "--gpu: abacus: is not known here: one of b200", id="gpu"),
        pytest.param(
            {"model": None}, [], "--model: is needed: nothing on this machine tells the size of hf://a/b", id="no-model"
        ),
        pytest.param({"model": "big"}, [], "--model: big: is no size such as 8B", id="model"),
        pytest.param({"lengths": "2"}, [], "--lengths: 2: give two shares", id="lengths"),
        pytest.param({"lengths": "0.5:0.2"}, [], "--lengths: 0.5:0.2: both are shares", id="order"),
        pytest.param(
            {"gpus": 1},
            ["spec.training.processesPerNode=4"],
            "spec.training.processesPerNode: 4: needs a GPU each",
            id="too-few",
        ),
    ],
)
def test_what_the_user_must_change(
    file: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], overrides: list[str], said: str
) -> None:
    monkeypatch.setattr(planning, "gpu_products", lambda: [])
    with pytest.raises(CommandError) as raised:
        planning.show_plan(file, overrides, [], replace(ASKED, **changed), "table")
    assert raised.value.exit_code == 64
    assert said in str(raised.value)


def test_what_cannot_fit_is_planned_and_refused(selfreward: Command, file: Path) -> None:
    answer = selfreward("plan", str(file), "--gpu", "l4", "--model", "8B")
    assert answer.code == 64
    assert "dpo-2" in answer.out
    assert f"{file}: spec.training.dpo: 8.0 billion parameters take" in answer.err


@pytest.mark.parametrize(
    ("selector", "here", "hardware"),
    [
        pytest.param("NVIDIA-L40S", ["NVIDIA H200"] * 2, ("l40s", 1), id="the-file-names-it"),
        pytest.param(None, ["NVIDIA H200"] * 2, ("h200", 2), id="this-machine-has-it"),
    ],
)
def test_the_hardware_without_being_told(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    selector: str | None,
    here: list[str],
    hardware: tuple[str, int],
) -> None:
    monkeypatch.setattr(planning, "gpu_products", lambda: here)
    labels = [f"spec.workloads.training.nodeSelector={{nvidia.com/gpu.product: {selector}}}"] if selector else []
    planning.show_plan(file, labels, [], replace(ASKED, gpu=None, model="135M"), "json")
    found = json.loads(capsys.readouterr().out)["hardware"]
    assert (found["gpu"], found["gpus"]) == hardware


@pytest.mark.parametrize(
    ("overrides", "kept"),
    [
        ([], "a server for each model, started anew"),
        (["spec.serving.keep=awake"], "one engine for all models, beside training"),
        (["spec.serving.deviceClassName=gpu.nvidia.com"], "one engine for all models, asleep while training"),
    ],
    ids=["plain", "awake", "shared"],
)
def test_a_cluster_keeps_engines_where_it_is_asked_to(
    file: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], kept: str
) -> None:
    text = file.read_text().replace("file://rows.jsonl", "file:///data/rows.jsonl")
    file.write_text(text)
    planning.show_plan(file, overrides, [], replace(ASKED, for_cluster=True, model="1B"), "table")
    assert capsys.readouterr().out.splitlines()[0].endswith(kept)


@pytest.mark.parametrize("given", ["config.json", "."], ids=["file", "folder"])
def test_a_model_by_its_configuration(
    file: Path, capsys: pytest.CaptureFixture[str], given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    Path("config.json").write_text(json.dumps({"model_type": "llama", **SMALL}))
    planning.show_plan(file, [], [], replace(ASKED, model=given), "json")
    expected = parameters_of_config({"model_type": "llama", **SMALL})
    assert json.loads(capsys.readouterr().out)["model"] == {"parameters": expected}


@pytest.mark.parametrize(
    ("product", "name"),
    [
        ("NVIDIA H200", "h200"),
        ("NVIDIA-H100-80GB-HBM3", "h100"),
        ("NVIDIA H100 NVL", "h100-nvl"),
        ("NVIDIA A100-SXM4-80GB", "a100-80g"),
        ("NVIDIA-A100-SXM4-40GB", "a100-40g"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("NVIDIA RTX A6000", "a6000"),
        ("Tesla T4", None),
    ],
)
def test_a_driver_s_name_of_a_gpu(product: str, name: str | None) -> None:
    assert gpu_named(product) == name


def test_every_gpu_has_a_memory() -> None:
    assert {name: gpu.memory >> 30 for name, gpu in GPUS.items()} == {
        **{"b200": 192, "h200": 141, "h100": 80, "h100-nvl": 94, "a100-80g": 80, "a100-40g": 40},
        **{"l40s": 48, "l40": 48, "a6000": 48, "l4": 24, "a10": 24, "rtx4090": 24},
    }
