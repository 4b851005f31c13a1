"""This machine's GPUs, as nvidia-smi tells of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.test_model_size import safetensors
from selfreward.api import SelfRewardRunSpec
from selfreward.cli.errors import CommandError
from selfreward.cli.machine import gpus
from selfreward.cli.validating import validate_file
from selfreward.render.memory import memory_limits

RUN = """
metadata: {name: demo}
spec:
  model: {uri: "file://./model"}
  prompts: {generator: file, source: {uri: "s3://bucket/prompts.jsonl"}}
  training: {processesPerNode: 2}
"""


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose nvidia-smi tells of two, of 24 GB and 16."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf '24564\\n16376\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(gpus, "has_gpu", lambda: True)


def test_the_smallest_counts(two_gpus: None) -> None:
    assert gpus.gpu_memory() == [24564, 16376]
    spec = gpus.on_these_gpus(SelfRewardRunSpec.model_validate({"model": {"uri": "hf://a/b"}}), gpus.gpu_memory())
    assert spec.workloads.training.node_selector == {"nvidia.com/gpu.memory": "16376"}


def test_parts_of_a_clusters_gpus_are_none_of_this_machines(two_gpus: None) -> None:
    part = {"resources": {"limits": {"nvidia.com/mig-1g.10gb": 1, "memory": "8Gi"}}}
    workloads = {"serving": part, "training": part}
    model, serving = {"uri": "hf://a/b"}, {"deviceClassName": "mig.nvidia.com"}
    asked = SelfRewardRunSpec.model_validate({"model": model, "serving": serving, "workloads": workloads})
    spec = gpus.on_these_gpus(asked, [24564])
    assert spec.workloads.training.resources.limits == {"memory": "8Gi"}
    assert {limit.gpu_bytes >> 20 for limit in memory_limits(spec)} == {24564}


@pytest.mark.parametrize("script", ["exit 9", "echo 'No devices were found'"])
def test_a_machine_whose_driver_does_not_answer(two_gpus: None, tmp_path: Path, script: str) -> None:
    (tmp_path / "bin" / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    assert gpus.gpu_memory() == []


def test_validate_tells_what_does_not_fit_here(two_gpus: None, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(RUN)
    (tmp_path / "model").mkdir()
    safetensors(tmp_path / "model" / "model.safetensors", a=[1_000_000_000])
    assert "is valid" in validate_file(tmp_path / "run.yaml", [])
    safetensors(tmp_path / "model" / "model.safetensors", a=[3_000_000_000])
    with pytest.raises(CommandError) as caught:
        validate_file(tmp_path / "run.yaml", [])
    (line,) = caught.value.lines
    assert line.startswith(f"{tmp_path}/run.yaml: spec.training.dpo: 3.0 billion parameters take 28 GiB on each GPU")
    assert caught.value.exit_code == 64


def test_validate_tells_of_too_few(two_gpus: None, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(RUN)
    (tmp_path / "model").mkdir()
    with pytest.raises(CommandError) as caught:
        validate_file(tmp_path / "run.yaml", ["spec.serving.tensorParallel=4"])
    assert caught.value.lines == (
        f"{tmp_path}/run.yaml: spec.serving.tensorParallel: 4: needs a GPU each, and this machine has 2: lower it",
    )
