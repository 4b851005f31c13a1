"""Every example is valid as it stands, fits the GPUs that it names, and its data is read as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from selfreward.cli.validating import loaded
from selfreward.render.memory import memory_limits
from steps.importing.seed.seeding import seed

EXAMPLES = Path(__file__).parents[2] / "examples"
CLUSTERS = sorted((EXAMPLES / "clusters").glob("*.yaml"))
FOR_CLUSTERS = [*CLUSTERS, EXAMPLES / "air-gapped" / "run.yaml", EXAMPLES / "gitops" / "runs" / "assistant.yaml"]
HERE = [EXAMPLES / name / "run.yaml" for name in ("known_world", "own_data", "quickstart")]
SHAPES = sorted((EXAMPLES / "own_data" / "shapes").glob("*.jsonl"))
PARAMETERS = {"8b": 8_030_261_248, "70b": 70_553_706_496}


def named(path: Path) -> str:
    return str(path.relative_to(EXAMPLES))


@pytest.mark.parametrize("path", FOR_CLUSTERS, ids=named)
def test_an_example_for_a_cluster_is_valid(path: Path) -> None:
    assert loaded(path, [], for_cluster=True).metadata.name


@pytest.mark.parametrize("path", HERE, ids=named)
def test_an_example_for_this_machine_is_valid(path: Path) -> None:
    assert loaded(path, []).metadata.name


def test_every_run_of_the_examples_is_one_of_these() -> None:
    runs = {path for path in EXAMPLES.rglob("*.yaml") if "kind: SelfRewardRun\n" in path.read_text(encoding="utf-8")}
    # Flux' file names the kind to say how its health is read.
    assert runs - {EXAMPLES / "gitops" / "flux.yaml"} == {*FOR_CLUSTERS, *HERE}


@pytest.mark.parametrize("path", [*FOR_CLUSTERS, *HERE], ids=named)
def test_a_run_says_at_its_head_what_it_needs_what_to_change_and_the_command(path: Path) -> None:
    head = path.read_text(encoding="utf-8").partition("apiVersion:")[0]
    if "gitops" not in path.parts:  # where no command applies it
        assert f"examples/{named(path)}" in head
    assert {"Needs:", "To change:"} <= set(re.findall(r"\b(?:Needs|To change):", head))


@pytest.mark.parametrize(
    "path", [path for path in CLUSTERS if path.stem.startswith("llama")], ids=lambda path: path.stem
)
def test_a_model_fits_the_gpus_that_are_named(path: Path) -> None:
    limits = memory_limits(loaded(path, [], for_cluster=True).spec)
    assert {"spec.training.dpo", "spec.serving"} <= {limit.field for limit in limits}
    size = PARAMETERS[path.stem.split("-")[1]]
    assert [limit.refusal(size) for limit in limits] == [None] * len(limits)


@pytest.mark.parametrize("path", SHAPES, ids=lambda path: path.stem)
def test_a_row_of_each_shape_is_read(path: Path, tmp_path: Path) -> None:
    role = path.stem.split("-")[0]
    rows, metadata = seed(tmp_path, {role: {"uri": path.as_uri()}})
    assert len(rows[role]) == 1
    assert metadata["counts"] == {role: 1}


def test_own_data_keeps_what_its_columns_hold(tmp_path: Path) -> None:
    data = loaded(EXAMPLES / "own_data" / "run.yaml", []).spec.seed_data
    assert data.instructions is not None
    assert data.rankings is not None
    sources = {"instructions": data.instructions, "rankings": data.rankings}
    rows, metadata = seed(
        tmp_path, {role: each.model_dump(mode="json", by_alias=True) for role, each in sources.items()}
    )
    assert [message["role"] for message in rows["instructions"][0]["messages"]] == ["system", "user", "assistant"]
    assert rows["rankings"][0]["answers"][0]["content"].startswith("Choose")
    assert metadata["counts"] == {"instructions": 2, "rankings": 2}


def test_the_index_names_every_example() -> None:
    linked = set(re.findall(r"\]\((\S+?)\)", (EXAMPLES / "README.md").read_text(encoding="utf-8")))
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert {target.partition("/")[0] for target in linked} == folders
    assert {f"clusters/{path.name}" for path in CLUSTERS} <= linked
    assert all((EXAMPLES / target).exists() for target in linked)
