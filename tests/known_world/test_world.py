"""The proof, on one seed: in a world whose truth is known, the product's own steps make a model and a judge better.

It is `examples/known_world/run.yaml`, two minutes of a core; docs/evidence.md has five seeds, and the contrasts.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from known_world.truth import ModelTruth, models_truth

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> list[ModelTruth]:
    """M1, M2 and M3 after `selfreward run` of the example, from the folder that it names its server from."""
    runs = tmp_path_factory.mktemp("runs")
    command = [sys.executable, "-m", "selfreward.cli.main", "run", "examples/known_world/run.yaml"]
    ended = subprocess.run(
        [*command, "--workdir", str(runs), "--plain"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return models_truth(runs / "artifacts" / "namespace=default" / "known-world")


def test_true_quality_rises_with_every_iteration(truth: list[ModelTruth]) -> None:
    assert [model.model for model in truth] == ["m1", "m2", "m3"]
    qualities = [model.quality for model in truth]
    assert qualities[0] < qualities[1] < qualities[2]


def test_the_learnt_judge_beats_chance_and_length(truth: list[ModelTruth]) -> None:
    for model in truth:
        assert model.judge is not None
        assert model.longest is not None
        assert model.judge > max(0.5, model.longest)
