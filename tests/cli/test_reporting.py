"""`selfreward report`: which run is meant, where the page goes, and what is said when there is none."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli.conftest import Command
from report.made_run import MadeRun
from selfreward.api import SelfRewardRun
from selfreward.cli.comparing import compare_runs
from selfreward.cli.errors import CommandError
from selfreward.cli.finding import FoundRun, found
from selfreward.cli.reporting import page_at_the_end, write_report
from selfreward.cluster.local.record import RunFolder
from selfreward_steps.errors import InfrastructureError
from selfreward_steps.store import Store

MADE = (
    "apiVersion: selfreward.dev/v1alpha1\nkind: SelfRewardRun\nmetadata: {name: made}\nspec: {model: {uri: hf://a/b}}\n"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[SelfRewardRun, Store, Path]:
    """A run, its store, and a work directory that holds its record."""
    workdir = tmp_path_factory.mktemp("work")
    run, store = MadeRun(workdir, prompts=2, iterations=1).make()
    folder = RunFolder(workdir, "made")
    folder.path.mkdir()
    folder.save(run)
    return run, store, workdir


def as_kubectl_prints(run: SelfRewardRun) -> str:
    return run.model_dump_json(by_alias=True, exclude_none=True)


@pytest.mark.parametrize("reference", ["made", "run.yaml", "made.json"], ids=["a name", "its file", "kubectl's json"])
def test_a_run_is_found(
    made: tuple[SelfRewardRun, Store, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    run, _, workdir = made
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(MADE)
    Path("made.json").write_text(as_kubectl_prints(run))
    named = found(reference, workdir)
    assert named.run.status == run.status
    assert named.folder == (None if reference == "made.json" else workdir / "made")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("{", "neither YAML nor JSON", id="torn"),
        pytest.param("- 1", "must be a mapping with metadata and spec", id="a list of something"),
        pytest.param('{"kind": "SelfRewardRunList", "items": []}', "name one run", id="many runs"),
        pytest.param(
            '{"kind": "Pod", "status": {"phase": "x"}}', "no SelfRewardRun of this version", id="another kind"
        ),
        pytest.param("spec: {}", "holds no SelfRewardRun with a name", id="no name"),
        pytest.param("metadata: [1]", "holds no SelfRewardRun with a name", id="a list of metadata"),
        pytest.param("a: &a [*a]", "neither YAML nor JSON", id="a list within itself"),
        pytest.param(MADE.replace("made", "other"), "other: no such run in", id="a run of another work directory"),
    ],
)
def test_what_is_no_run(made: tuple[SelfRewardRun, Store, Path], tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "run.json"
    file.write_text(text)
    with pytest.raises(CommandError) as refused:
        found(str(file), made[2])
    assert words in refused.value.lines[0]


def test_the_page_lies_in_the_runs_folder(made: tuple[SelfRewardRun, Store, Path]) -> None:
    workdir = made[2]
    target = write_report("made", workdir, store=None, output=None, candidates=100)
    assert target == workdir / "made" / "report.html"
    assert b"M2 v M1" in target.read_bytes()
    assert [path.name for path in target.parent.glob(".*report*")] == []


def test_a_run_of_a_cluster_through_a_pipe(
    selfreward: Command, made: tuple[SelfRewardRun, Store, Path], tmp_path: Path
) -> None:
    """Its claim's path is not here; --store says where a copy is."""
    run, store, _ = made
    storage = run.spec.storage.model_copy(update={"uri": "file:///claim/of/the/cluster"})
    there = run.model_copy(update={"spec": run.spec.model_copy(update={"storage": storage})})
    command = [sys.executable, "-m", "selfreward.cli.main", "report", "-", "--store", store.uri]
    done = subprocess.run(
        command, cwd=tmp_path, input=as_kubectl_prints(there), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "made-report.html\n"
    assert b"M2 v M1" in (tmp_path / "made-report.html").read_bytes()


def test_a_run_without_a_storage_of_its_own_is_read_where_its_status_says(
    made: tuple[SelfRewardRun, Store, Path],
) -> None:
    """On a cluster whose operator has a default: the spec stays as it was written."""
    run, store, _ = made
    spec = run.spec.model_copy(update={"storage": run.spec.storage.model_copy(update={"uri": None})})
    there, nowhere = (
        run.model_copy(update={"spec": spec, "status": run.status.model_copy(update={"artifacts": uri})})
        for uri in (store.uri, "")
    )
    assert FoundRun(there, None).open_store().uri == store.uri
    with pytest.raises(CommandError, match="say with --store where its artifacts lie"):
        FoundRun(nowhere, None).open_store()


def test_no_such_run(selfreward: Command) -> None:
    answer = selfreward("report", "nobody")
    assert (answer.code, answer.out) == (64, "")
    assert answer.err == "nobody: no such run in runs: selfreward list shows those there are\n"


def test_a_folder_that_cannot_be_written(made: tuple[SelfRewardRun, Store, Path], tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file or directory"):
        write_report("made", made[2], store=None, output=tmp_path / "nowhere" / "page.html", candidates=10)


class Away:
    """A store out of reach."""

    uri = "s3://bucket/made"

    def __getattr__(self, name: str) -> object:
        raise InfrastructureError("StoreUnavailable", "s3://bucket: 503")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path, "made")
    folder.path.mkdir()
    return folder


def test_a_run_ends_well_although_its_report_cannot_be_written(
    made: tuple[SelfRewardRun, Store, Path], folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert page_at_the_end(made[0], folder, Away()) is None  # type: ignore[arg-type]
    assert capsys.readouterr().err == ("no report was written: s3://bucket: 503: selfreward report made tries again\n")


def test_a_run_that_did_nothing_leaves_no_page(made: tuple[SelfRewardRun, Store, Path], folder: RunFolder) -> None:
    run, store, _ = made
    fresh = SelfRewardRun(metadata=run.metadata, spec=run.spec)
    assert page_at_the_end(fresh, folder, store) is None
    assert not (folder.path / "report.html").exists()


@pytest.mark.parametrize("suffix", ["csv", "json", "html"])
def test_a_comparison_in_a_file(made: tuple[SelfRewardRun, Store, Path], tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"runs.{suffix}"
    compare_runs(["made", "made"], made[2], target)
    text = target.read_text()
    match suffix:
        case "csv":
            assert [row["model"] for row in csv.DictReader(text.splitlines())] == ["SFT baseline", "M1", "M2"] * 2
        case "json":
            assert [row["judge"] for row in json.loads(text)] == [0.6, 0.65, 0.7] * 2
        case _:
            assert "<svg" in text


def test_a_comparison_on_the_terminal(
    made: tuple[SelfRewardRun, Store, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    compare_runs(["made"], made[2], None)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert any(line.startswith("made M2 1 70% [66–74] 66% [62–70] 60% [56–64] 40% [36–44]") for line in lines)


def test_a_comparison_of_another_kind(made: tuple[SelfRewardRun, Store, Path]) -> None:
    with pytest.raises(CommandError, match=r"--output runs.xlsx: must end in .html, .csv or .json"):
        compare_runs(["made"], made[2], Path("runs.xlsx"))
