"""Logs and cost of a run of this machine, completion, and the plugin of kubectl."""

from __future__ import annotations

import io
import json
import tarfile
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from report.made_run import MadeRun
from selfreward.api import SelfRewardRun
from selfreward.api.annotations import GPUS
from selfreward.cli import main
from selfreward.cluster.local.record import RunFolder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("work")
    run, _ = MadeRun(workdir, prompts=2, iterations=1).make()
    folder = RunFolder(workdir, run.metadata.name)
    folder.path.mkdir()
    document = json.loads(run.model_dump_json(by_alias=True, exclude_none=True))
    for iteration in document["status"]["iterations"]:
        for row in iteration["steps"]:
            row |= {"attempt": 1, "child": f"made-{row['key']}-a1"}
    folder.save(SelfRewardRun.model_validate(document))
    return workdir


def asked(workdir: Path, *arguments: str) -> str:
    answer = CliRunner().invoke(main.cli, [*arguments, "--workdir", str(workdir)], catch_exceptions=False)
    return answer.output


def test_cost(workdir: Path) -> None:
    told = json.loads(asked(workdir, "cost", "made", "-o", "json"))
    assert told["steps"]
    assert all(step["seconds"] > 0 for step in told["steps"])
    assert told["gpuHours"] == pytest.approx(sum(step["gpuHours"] for step in told["steps"]), abs=0.01)
    assert told["gpuHours"] > 0
    table = asked(workdir, "cost", "made")
    assert f"{told['gpuHours']:.2f}" in table
    assert all(step["step"] in table for step in told["steps"])


def test_a_machine_without_gpus_has_spent_no_gpu_hours(workdir: Path) -> None:
    folder = RunFolder(workdir, "made")
    run = folder.load()
    assert run is not None
    folder.save(run.model_copy(update={"metadata": run.metadata.model_copy(update={"annotations": {GPUS: "0"}})}))
    told = json.loads(asked(workdir, "cost", "made", "-o", "json"))
    assert told["gpuHours"] == 0
    assert all(step["seconds"] > 0 and step["gpuHours"] == 0 for step in told["steps"])


def test_logs_of_each_shard_after_its_name(workdir: Path) -> None:
    folder = workdir / "made" / "children" / "made-judge-1-a1"
    folder.mkdir(parents=True)
    for shard in (0, 1):
        (folder / f"judge-{shard}.log").write_text("".join(f"line {number}\n" for number in range(5)))
    assert asked(workdir, "logs", "made", "judge-1", "--tail", "1") == "judge-0: line 4\njudge-1: line 4\n"
    (folder / "judge-1.log").unlink()
    assert asked(workdir, "logs", "made", "judge-1", "--tail", "2") == "line 3\nline 4\n"


def test_a_bundle_has_logs_and_no_secret(workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "Pl4ntedT0ken")
    folder = workdir / "made" / "children" / "made-import-a1"
    folder.mkdir(parents=True)
    (folder / "import.log").write_text("asked https://me:Pl4ntedW0rd@hub/x with Pl4ntedT0ken\nthen it broke\n")
    target = tmp_path / "b.tar.gz"
    assert asked(workdir, "bundle", "made", "-o", str(target)).strip() == str(target)
    with tarfile.open(target) as file:
        texts = {name: (file.extractfile(name) or io.BytesIO()).read().decode() for name in file.getnames()}
    assert not [name for name, text in texts.items() if "Pl4nted" in text]
    assert texts["bundle/logs/made-import-a1/import.log"] == "asked https://REMOVED@hub/x with REMOVED\nthen it broke\n"
    assert yaml.safe_load(texts["bundle/run.yaml"])["metadata"]["name"] == "made"
    assert yaml.safe_load(texts["bundle/versions.yaml"])["python"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_produced(shell: str) -> None:
    script = CliRunner().invoke(main.cli, ["completion", shell], catch_exceptions=False).output
    assert f"_SELFREWARD_COMPLETE={shell}_complete" in script
    at = "sta" if shell == "fish" else "1"
    words = {"COMP_WORDS": "selfreward sta", "COMP_CWORD": at, "_SELFREWARD_COMPLETE": f"{shell}_complete"}
    answer = CliRunner().invoke(main.cli, [], prog_name="selfreward", env=words)
    assert "status" in answer.output


def test_kubectl_finds_the_plugin() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["kubectl-selfreward"].partition(":")
    assert (module, getattr(main, function)) == ("selfreward.cli.main", main.plugin)


def test_the_plugin_means_the_cluster(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr("sys.argv", ["kubectl-selfreward", "list"])
    with pytest.raises(SystemExit) as ended:
        main.plugin()
    assert ended.value.code == 64
    assert capsys.readouterr().err.startswith("no kubeconfig: /nowhere is not there")
