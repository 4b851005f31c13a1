"""`selfreward validate`, and what `selfreward run` refuses before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.conftest import Command

REPOSITORY = Path(__file__).parents[2]
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
        pytest.param(
            ["status"], "runs: no run has been started here: selfreward run FILE --workdir runs", id="no runs"
        ),
        pytest.param(
            ["status", "demo"], "demo: no such run in runs: selfreward status lists those there are", id="no such run"
        ),
    ],
)
def test_what_cannot_be_done_is_one_line_and_64(selfreward: Command, arguments: list[str], line: str) -> None:
    answer = selfreward(*arguments)
    assert (answer.code, answer.out, answer.err) == (64, "", f"{line}\n")
