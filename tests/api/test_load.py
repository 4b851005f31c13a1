"""A run from a file, and what the user is told when it is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from selfreward.api import RunStatus, SelfRewardRun, StepState
from selfreward.api.load import RunInvalid, changes_refused, load_run
from selfreward.api.status import IterationStatus, StepStatus

GOOD: dict[str, Any] = {
    "apiVersion": "selfreward.dev/v1alpha1",
    "kind": "SelfRewardRun",
    "metadata": {"name": "demo"},
    "spec": {
        "model": {"uri": "hf://a/b"},
        "seedData": {"instructions": {"uri": "file://./data/rows.jsonl"}},
        "eft": {"mode": "given"},
    },
}


def run_file(tmp_path: Path, **spec: Any) -> Path:
    path = tmp_path / "run.yaml"
    document = GOOD | {"spec": GOOD["spec"] | {"eft": {}, "seedData": {"instructions": {"uri": "file://./rows.jsonl"}}}}
    document = {**document, "spec": {**document["spec"], **spec}}
    path.write_text(yaml.safe_dump(document))
    return path


def problems(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(RunInvalid) as caught:
        load_run(path, overrides)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


def test_a_file_uri_without_a_slash_is_relative_to_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    run = load_run(run_file(folder))
    assert run.spec.seed_data.instructions is not None
    assert run.spec.seed_data.instructions.uri == f"{tmp_path.as_uri()}/with%20space/rows.jsonl"


def test_overrides_change_fields(tmp_path: Path) -> None:
    run = load_run(run_file(tmp_path), ["spec.iterations=3", "spec.training.dpo.beta=0.2", "metadata.name=other"])
    assert (run.spec.iterations, run.spec.training.dpo.beta, run.metadata.name) == (3, 0.2, "other")


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        pytest.param({"prompts": {"count": 0}}, "spec.prompts.count: 0: must be at least 1", id="too small"),
        pytest.param(
            {"prompts": {"cuont": 5}}, "spec.prompts.cuont: unknown field; did you mean count?", id="misspelt, nested"
        ),
        pytest.param(
            {"training": {"sft": {"lora": {"rnk": 5}}}},
            "spec.training.sft.lora.rnk: unknown field; did you mean rank?",
            id="misspelt, within an optional field",
        ),
        pytest.param({"xyzzy": 1}, "spec.xyzzy: unknown field", id="unknown, nothing like it"),
        pytest.param(
            {"prompts": {"generator": "slef"}},
            'spec.prompts.generator: "slef": must be one of self, initial, file; did you mean self?',
            id="not an option",
        ),
        pytest.param(
            {"judge": {"template": "addditive"}},
            'spec.judge.template: "addditive": must be one of additive, additive-prefix, multiple-choice, custom; '
            "did you mean additive?",
            id="not a literal",
        ),
        pytest.param({"iterations": "many"}, 'spec.iterations: "many": must be a whole number', id="no number"),
        pytest.param({"iterations": 1.5}, "spec.iterations: 1.5: must be a whole number", id="no whole number"),
        pytest.param({"suspend": "maybe"}, 'spec.suspend: "maybe": must be true or false', id="no boolean"),
        pytest.param(
            {"model": {"uri": "smollm"}},
            'spec.model.uri: "smollm": must begin with hf://, s3://, file:/// or package://, without '
            "control characters",
            id="no URI",
        ),
        pytest.param({"model": {}}, "spec.model.uri: is required", id="missing"),
        pytest.param({"prompts": 3}, "spec.prompts: 3: must be a mapping", id="no mapping"),
        pytest.param(
            {"preferences": {"lengthControl": [0.5, 2]}},
            "spec.preferences.lengthControl[1]: 2: must be at most 1",
            id="in a list",
        ),
        pytest.param(
            {"prompts": {"minWords": 300}}, "spec.prompts.minWords: 300: must not be above maxWords", id="rule"
        ),
        pytest.param(
            {"judge": {"model": "endpoint"}}, "spec.judge.endpoint: needed by model: endpoint", id="rule, field absent"
        ),
    ],
)
def test_each_problem_is_one_line(tmp_path: Path, spec: dict[str, Any], line: str) -> None:
    assert problems(run_file(tmp_path, **spec)) == [line]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    path = run_file(tmp_path, prompts={"count": 0, "minWords": 0}, iterations=0)
    assert len(problems(path)) == 3


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(b"metadata: {name: demo\n", "line 2, column 1: expected", id="syntax"),
        pytest.param(b"a: 1\nb:\tx: 2\n", "line 2, column", id="tab"),
        pytest.param(
            b"kind: Pod\nmetadata: {name: x}\nspec: {model: {uri: hf://a/b}}\n", 'kind: "Pod": must be', id="kind"
        ),
    ],
)
def test_what_is_no_yaml_says_where(tmp_path: Path, text: bytes, line: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(text)
    (problem,) = problems(path)
    assert problem.startswith(line)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    assert problems(tmp_path / "nope.yaml") == ["No such file or directory"]


@pytest.mark.parametrize(
    ("override", "line"),
    [
        pytest.param("iterations=3", "--set iterations=3: must be spec.FIELD=VALUE", id="no spec."),
        pytest.param("spec.iterations", "--set spec.iterations: must be spec.FIELD=VALUE", id="no value"),
        pytest.param(
            "spec.model.uri.x=1", '--set spec.model.uri.x=1: uri is "hf://a/b", which has no fields', id="deep"
        ),
        pytest.param(
            "spec.iterations={",
            "--set spec.iterations={: the value is not YAML: line 1, column 2: expected the node content, but found "
            "'<stream end>'",
            id="no YAML",
        ),
    ],
)
def test_overrides_that_cannot_be(tmp_path: Path, override: str, line: str) -> None:
    assert problems(run_file(tmp_path), override) == [line]


def stored(run: SelfRewardRun, state: StepState) -> SelfRewardRun:
    """`run` as it was recorded, with an import in `state`."""
    model = "m0" if state is StepState.SUCCEEDED else ""
    row = StepStatus.model_validate({"key": "import", "step": "import", "state": state})
    status = RunStatus.model_validate({"startedAt": "2026-01-01T00:00:00Z", "model": model})
    return run.model_copy(
        update={"status": status.model_copy(update={"iterations": [IterationStatus(number=0, steps=[row])]})}
    )


def test_what_has_been_used_cannot_change(tmp_path: Path) -> None:
    old = stored(load_run(run_file(tmp_path)), StepState.SUCCEEDED)
    new = load_run(run_file(tmp_path, randomSeed=7))
    assert changes_refused(new, old) == [
        "spec.randomSeed: 7: cannot change once the base model is imported; use a new run (it was 0)"
    ]


def test_iterations_can_only_be_raised(tmp_path: Path) -> None:
    old = stored(load_run(run_file(tmp_path, iterations=2)), StepState.SUCCEEDED)
    assert changes_refused(load_run(run_file(tmp_path, iterations=3)), old) == []
    assert changes_refused(load_run(run_file(tmp_path, iterations=1)), old) == [
        "spec.iterations: 1: can only be raised (it was 2)"
    ]


def test_a_run_of_which_nothing_succeeded_may_be_mended(tmp_path: Path) -> None:
    old = stored(load_run(run_file(tmp_path)), StepState.FAILED)
    assert changes_refused(load_run(run_file(tmp_path, model={"uri": "hf://right/one"})), old) == []
