"""What this machine fills in, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from selfreward.api import SelfRewardRun, ServingEngine, Storage, TrainingBackend
from selfreward.cli.errors import CommandError
from selfreward.cli.machine import preparing
from selfreward.cli.machine.preparing import prepared
from selfreward.plan import CreateServing
from selfreward.render import Images, serving_manifests


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine with these packages, with a GPU or without."""

    def set_up(*packages: str, gpu: bool = False) -> None:
        monkeypatch.setattr(preparing, "has_gpu", lambda: gpu)
        monkeypatch.setattr(preparing.importlib.util, "find_spec", lambda name: object() if name in packages else None)

    return set_up


def run_of(**spec: Any) -> SelfRewardRun:
    return SelfRewardRun.model_validate(
        {"metadata": {"name": "demo", "uid": "1"}, "spec": {"model": {"uri": "hf://a/b"}, **spec}}
    )


def test_storage_is_a_folder_of_the_work_directory(machine: Any, tmp_path: Path) -> None:
    machine("vllm")
    assert prepared(run_of(), tmp_path / "my runs").spec.storage.uri == f"{tmp_path.as_uri()}/my%20runs/artifacts"
    given = run_of(storage={"uri": "s3://bucket/x"})
    assert prepared(given, tmp_path).spec.storage.uri == "s3://bucket/x"
    of_a_cluster = run_of(storage={"secret": "bucket", "endpointUrl": "http://minio:9000"})
    assert prepared(of_a_cluster, tmp_path).spec.storage == Storage(uri=f"{tmp_path.as_uri()}/artifacts")


@pytest.mark.parametrize(
    ("packages", "engine"),
    [
        pytest.param(["vllm", "transformers", "uvicorn"], ServingEngine.VLLM, id="vllm first"),
        pytest.param(["transformers", "uvicorn"], ServingEngine.TRANSFORMERS, id="transformers else"),
    ],
)
def test_auto_takes_what_is_installed(machine: Any, tmp_path: Path, packages: list[str], engine: ServingEngine) -> None:
    machine(*packages)
    assert prepared(run_of(), tmp_path).spec.serving.engine is engine


@pytest.mark.parametrize(("gpu", "count"), [(True, "2"), (False, "0")])
def test_the_run_says_how_many_gpus_the_machine_has(
    machine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: bool, count: str
) -> None:
    machine("vllm", gpu=gpu)
    monkeypatch.setattr(preparing, "visible_gpus", lambda: ["0", "1"])
    assert prepared(run_of(), tmp_path).metadata.annotations == {"selfreward.dev/gpus": count}


@pytest.mark.parametrize(("replicas", "engines", "told"), [(1, 1, []), (2, 1, ["2"]), (2, 3, ["6"]), (1, 2, ["2"])])
def test_engines_of_all_replicas_are_of_one_server_on_a_machine(
    machine: Any, tmp_path: Path, replicas: int, engines: int, told: list[str]
) -> None:
    machine("vllm", gpu=True)
    made = prepared(run_of(serving={"replicas": replicas, "enginesPerServer": engines}), tmp_path)
    deployment, _ = serving_manifests(made, CreateServing("demo-m1", "m1", 1, None), Images())
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    words = [word.partition("=")[2] for word in server["command"] if word.startswith("--data-parallel-size=")]
    assert words[-1:] == told


def test_no_engine_is_one_line(machine: Any, tmp_path: Path) -> None:
    machine()
    with pytest.raises(CommandError, match=r"spec\.serving\.engine: auto: neither vllm nor transformers"):
        prepared(run_of(), tmp_path)


def test_a_cpu_gets_what_vllm_needs_there_and_the_user_has_the_last_word(machine: Any, tmp_path: Path) -> None:
    machine("vllm")
    serving = prepared(run_of(serving={"args": ["--max-num-seqs=8"]}), tmp_path).spec
    assert "--no-enable-chunked-prefill" in serving.serving.args
    assert serving.serving.args[-1] == "--max-num-seqs=8"
    named = {entry["name"]: entry["value"] for entry in serving.workloads.serving.env}
    assert "VLLM_CPU_OMP_THREADS_BIND" in named
    # A machine that nobody prepared has no compiler (`make test-bare` with WHOLE=1 asks a real engine there).
    assert named["TORCHDYNAMO_DISABLE"] == "1"


@pytest.mark.parametrize(
    ("gpu", "asked", "dtype"),
    [
        pytest.param(False, "auto", "float32", id="a-cpu-answers-alike-in-every-batch"),
        pytest.param(False, "bfloat16", "bfloat16", id="the-user-may-trade-that-for-speed"),
        pytest.param(True, "auto", "auto", id="a-gpu-takes-the-models-own"),
    ],
)
def test_number_format_of_the_served_weights(machine: Any, tmp_path: Path, gpu: bool, asked: str, dtype: str) -> None:
    machine("vllm", gpu=gpu)
    assert prepared(run_of(serving={"dtype": asked}), tmp_path).spec.serving.dtype == dtype


def test_a_gpu_gets_the_manifest_of_a_cluster(machine: Any, tmp_path: Path) -> None:
    machine("vllm", gpu=True)
    spec = prepared(run_of(), tmp_path).spec
    assert spec.serving.args == []
    assert spec.workloads.serving.env == []


def test_a_server_of_ones_own_is_left_alone(machine: Any, tmp_path: Path) -> None:
    machine()
    run = run_of(serving={"command": ["my-server"], "args": ["--x"]})
    spec = prepared(run, tmp_path).spec
    assert spec.serving == run.spec.serving
    assert spec.workloads == run.spec.workloads


def test_training_is_a_process_group_here(machine: Any, tmp_path: Path) -> None:
    machine("vllm")
    spec = prepared(run_of(training={"backend": "trainjob"}), tmp_path).spec
    assert spec.training.backend is TrainingBackend.PYTORCHJOB
