"""`selfreward validate`, and what `selfreward run` refuses before it begins."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from api.broken_yaml import BROKEN
from cli.conftest import Command
from selfreward.cli.main import main

REPOSITORY = Path(__file__).parents[2]
PROMPTS = {"prompts": {"generator": "file", "source": {"uri": "s3://bucket/prompts.jsonl"}}}
RUN = """
metadata: {name: demo}
spec:
  model: {uri: "hf://a/b"}
  prompts: {generator: file, source: {uri: "file://./prompts.jsonl"}}
"""


@pytest.fixture
def run_yaml(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(RUN)
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Why is the sky blue?"}\n')
    return path


def test_a_valid_file(selfreward: Command, run_yaml: Path) -> None:
    answer = selfreward("validate", "run.yaml")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "run.yaml: run demo is valid: 2 iterations, 11 steps\n"


def test_the_quickstart_is_valid(selfreward: Command) -> None:
    answer = selfreward("validate", str(REPOSITORY / "examples" / "quickstart" / "run.yaml"))
    assert answer.code == 0, answer.err


@pytest.mark.parametrize(
    ("override", "line"),
    [
        pytest.param(
            "spec.prompts.count=0", "run.yaml: spec.prompts.count: 0: must be at least 1", id="impossible value"
        ),
        pytest.param(
            "spec.promts.count=3", "run.yaml: spec.promts: unknown field; did you mean prompts?", id="misspelt field"
        ),
        pytest.param(
            "spec.prompts.source.uri=file:///no/such.jsonl",
            "run.yaml: spec.prompts.source.uri: file:///no/such.jsonl: there is no such file or folder",
            id="missing file",
        ),
        pytest.param(
            "spec.evaluation.lmEval={tasks: [arc_easy], includePath: /no/such}",
            "run.yaml: spec.evaluation.lmEval.includePath: /no/such: there is no such folder",
            id="missing folder of tasks",
        ),
        pytest.param(
            "spec.evaluation.lmEval={tasks: []}",
            "run.yaml: spec.evaluation.lmEval.tasks: []: must have at least 1",
            id="no task",
        ),
        pytest.param(
            "spec.evaluation.lmEval={tasks: [arc_easy], includePath: tasks}",
            'run.yaml: spec.evaluation.lmEval.includePath: "tasks": must be an absolute path, beginning with /',
            id="relative folder of tasks",
        ),
        pytest.param(
            "spec.model.uri=package://no_such_package/model.gguf",
            "run.yaml: spec.model.uri: package://no_such_package/model.gguf: the Python package no_such_package is not "
            "installed: pip install it here first",
            id="missing package",
        ),
        pytest.param(
            "spec.model.uri=package://pydantic/model.gguf",
            "run.yaml: spec.model.uri: package://pydantic/model.gguf: the package pydantic has no model.gguf",
            id="missing file of a package",
        ),
        pytest.param(
            "spec.model.tokenSecretRef={name: no-hub}",
            "run.yaml: spec.model.tokenSecretRef: secret no-hub, key token: on one machine it is read from the "
            "environment: set NO_HUB_TOKEN or TOKEN",
            id="missing secret",
        ),
        pytest.param(
            "spec.prompts.minWords=500", "run.yaml: spec.prompts.minWords: 500: must not be above maxWords", id="rule"
        ),
    ],
)
def test_what_is_wrong_is_one_line_and_64(selfreward: Command, run_yaml: Path, override: str, line: str) -> None:
    answer = selfreward("validate", "run.yaml", "--set", override, TOKEN="")
    assert (answer.code, answer.out, answer.err) == (64, "", f"{line}\n")


ON_A_CLUSTER = """
apiVersion: selfreward.dev/v1alpha1
kind: SelfRewardRun
metadata: {name: demo}
spec:
  model: {uri: "hf://a/b", tokenSecretRef: {name: hub}}
  seedData: {instructions: {uri: "file:///mnt/seed/rows.jsonl"}}
  evaluation: {lmEval: {tasks: [arc_easy], includePath: /mnt/seed/tasks}}
  training: {reportTo: [comet_ml]}
  storage: {uri: "file:///mnt", claimName: runs}
"""


def test_a_cluster_has_secrets_and_claims_that_this_machine_has_not(selfreward: Command, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(ON_A_CLUSTER)
    answer = selfreward("validate", "run.yaml", "--cluster", HUB_TOKEN="", TOKEN="")
    assert (answer.code, answer.err) == (0, "")
    here = selfreward("validate", "run.yaml", HUB_TOKEN="", TOKEN="").err
    assert "spec.model.tokenSecretRef: secret hub" in here
    assert "file:///mnt/seed/rows.jsonl: there is no such file or folder" in here
    assert "spec.training.reportTo: comet_ml: is not installed here: pip install comet_ml" in here


def test_a_cluster_has_no_files_of_this_machine(selfreward: Command, run_yaml: Path) -> None:
    answer = selfreward("validate", "run.yaml", "--cluster")
    assert answer.code == 64
    assert answer.err.splitlines() == [
        "run.yaml: apiVersion: is required: selfreward.dev/v1alpha1",
        "run.yaml: kind: is required: SelfRewardRun",
        'run.yaml: spec.prompts.source.uri: "file://./prompts.jsonl": must begin with hf://datasets/, s3://, file:/// '
        "or package://, without control characters",
    ]


def test_standard_input(selfreward: Command, run_yaml: Path) -> None:
    answer = selfreward("validate", "-", stdin=RUN)
    assert (answer.code, answer.out) == (0, "standard input: run demo is valid: 2 iterations, 11 steps\n"), answer.err
    answer = selfreward("validate", "-", stdin="a: [")
    assert (answer.code, answer.out) == (64, "")
    assert answer.err.startswith("standard input: line 1, column 5: ")


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_broken_yaml_is_one_line_and_64(
    text: tuple[str | bytes, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(text[0].encode() if isinstance(text[0], str) else text[0])
    monkeypatch.setattr(sys, "argv", ["selfreward", "validate", str(path)])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capfd.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (64, "", 1)
    assert err.startswith(f"{path}: {text[1]}")


PATHS = {
    "a NUL": ("file:///a%00b", "holds a NUL, which no path can"),
    "a name that is too long": ("file:///" + "x" * 300, "cannot be read: File name too long"),
    "a path that is too long": ("file:///" + "x/" * 3000, "cannot be read: File name too long"),
    "an open bracket": ("hf://[x", "use hf://OWNER/NAME"),
    "a control character": ("file:///a\x1bb", "without control characters"),
    "a relative one with a NUL": ("file://a%00b", "without control characters"),
}


@pytest.mark.parametrize(("uri", "words"), PATHS.values(), ids=PATHS.keys())
def test_addresses_that_no_file_can_have(selfreward: Command, run_yaml: Path, uri: str, words: str) -> None:
    run_yaml.write_text(yaml.safe_dump({"metadata": {"name": "demo"}, "spec": {"model": {"uri": uri}, **PROMPTS}}))
    answer = selfreward("validate", "run.yaml")
    assert (answer.code, answer.out, answer.err.count("\n")) == (64, "", 1)
    assert words in answer.err
    assert answer.err.startswith("run.yaml: spec.model.uri: ")


def test_what_only_a_look_finds_is_told(selfreward: Command, run_yaml: Path) -> None:
    answer = selfreward("validate", "run.yaml", "--set", "spec.workloads.training.resources.limits={gpu: 1}")
    assert answer.code == 64
    assert answer.err.startswith(
        "run.yaml: spec.workloads.training.resources.limits: gpu: 1: no resource of Kubernetes"
    )


def test_run_refuses_what_validate_refuses(selfreward: Command, run_yaml: Path) -> None:
    answer = selfreward("run", "run.yaml", "--set", "spec.prompts.count=0")
    assert (answer.code, answer.out) == (64, "")
    assert answer.err == "run.yaml: spec.prompts.count: 0: must be at least 1\n"
    assert not (run_yaml.parent / "runs").exists(), "nothing was begun"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        pytest.param(["validate", "nope.yaml"], "nope.yaml: No such file or directory", id="no file"),
        pytest.param(["frobnicate"], "selfreward: No such command 'frobnicate'.", id="no command"),
        pytest.param(["run"], "selfreward: Missing argument 'FILE'.", id="no argument"),
        pytest.param(["status", "x.yaml"], "x.yaml: No such file or directory", id="status of no file"),
        pytest.param(
            ["status", "demo"], "demo: no such run in runs: selfreward list shows those there are", id="no such run"
        ),
    ],
)
def test_what_cannot_be_done_is_one_line_and_64(selfreward: Command, arguments: list[str], line: str) -> None:
    answer = selfreward(*arguments)
    assert (answer.code, answer.out, answer.err) == (64, "", f"{line}\n")
