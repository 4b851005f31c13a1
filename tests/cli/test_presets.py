"""The presets: each is valid over any run, says what it is called, and changes what it promises."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from selfreward.api import SelfRewardRun
from selfreward.api.load import load_run
from selfreward.cli.errors import CommandError
from selfreward.cli.presets import known_presets, preset_files
from selfreward.plan import build_graph
from selfreward_steps.contract import JudgeModel, PairStrategy, PromptGenerator, RejectedSource

PRESETS = Path(__file__).parents[2] / "presets"
NAMES = [
    "anchored",
    "cream",
    "frozen-reward-model",
    "length-controlled",
    "meta-rewarding",
    "no-eft",
    "pairwise",
    "paper",
    "positive-only",
]
PLAIN = {
    "model": {"uri": "hf://example/base-1b"},
    "seedData": {name: {"uri": f"s3://data/{name}.jsonl"} for name in ("instructions", "rankings")},
}
FAR = {
    **PLAIN,
    "iterations": 3,
    "judge": {"model": "endpoint", "endpoint": {"url": "https://judge/v1", "model": "x"}, "mode": "logprob"},
    "preferences": {"rejected": "anchored", "lengthControl": [0.5]},
}
"""As far from the paper as a file gets."""


def patched(folder: Path, name: str, spec: dict[str, object]) -> SelfRewardRun:
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump({"metadata": {"name": "mine"}, "spec": spec}))
    return load_run(file, patches=preset_files([name]))


def test_there_are_these() -> None:
    assert known_presets() == NAMES
    text = (PRESETS / "README.md").read_text()
    assert all(f"| `{name}` |" in text for name in NAMES)


@pytest.mark.parametrize("spec", [PLAIN, FAR], ids=["over defaults", "over what is far from them"])
@pytest.mark.parametrize("name", NAMES)
def test_each_is_valid_over_a_run(tmp_path: Path, name: str, spec: dict[str, object]) -> None:
    run = patched(tmp_path, name, spec)
    assert run.metadata.name == f"mine-{name}"
    assert build_graph(run.spec).nodes


def test_the_paper_is_what_the_defaults_are_but_for_four_fields(tmp_path: Path) -> None:
    """Whatever a file says; they are the order of the rubric, who writes the prompts, and DPO's dropout and pairs."""
    plain, paper = patched(tmp_path, "anchored", PLAIN).spec, patched(tmp_path, "paper", FAR).spec
    dpo = plain.training.dpo.model_copy(update={"dropout": 0.1, "held_out_pairs": 0})
    changed = plain.model_copy(
        update={
            "preferences": type(plain.preferences)(),
            "judge": plain.judge.model_copy(update={"template": "additive"}),
            "prompts": plain.prompts.model_copy(update={"generator": PromptGenerator.INITIAL}),
            "training": plain.training.model_copy(update={"dpo": dpo}),
        }
    )
    assert paper.model_dump(mode="json") == changed.model_dump(mode="json")


def test_what_the_contrasts_change(tmp_path: Path) -> None:
    assert patched(tmp_path, "frozen-reward-model", FAR).spec.judge.model is JudgeModel.INITIAL
    assert patched(tmp_path, "positive-only", FAR).spec.preferences.strategy is PairStrategy.POSITIVE_ONLY
    assert patched(tmp_path, "length-controlled", PLAIN).spec.preferences.length_control == [0.32]
    assert patched(tmp_path, "anchored", PLAIN).spec.preferences.rejected is RejectedSource.ANCHORED
    steps = [node.key for node in build_graph(patched(tmp_path, "no-eft", PLAIN).spec).nodes]
    assert "sft" in steps
    assert not {"eft", "sft-baseline"} & set(steps)


def test_a_patch_of_the_users_own_comes_after(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("spec: {preferences: {lengthControl: [0.1]}}\n")
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump({"metadata": {"name": "mine"}, "spec": PLAIN}))
    run = load_run(file, ["spec.iterations=5"], preset_files(["length-controlled", str(own)]))
    assert (run.metadata.name, run.spec.iterations) == ("mine-length-controlled", 5)
    assert run.spec.preferences.length_control == [0.1]


@pytest.mark.parametrize("name", ["papers", "../presets/paper", ""])
def test_no_such_preset(name: str) -> None:
    with pytest.raises(CommandError) as refused:
        preset_files([name])
    assert refused.value.lines == (f"--preset {name}: there is none of that name: use {', '.join(NAMES)} or a file",)
