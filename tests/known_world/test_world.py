"""The proof, on one seed: in a world whose truth is known, the product's own steps make a model and a judge better.

It trains for four minutes of a core; docs/evidence.md has five seeds, and the contrasts.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from known_world.truth import ModelTruth, models_truth

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> list[ModelTruth]:
    """M1, M2 and M3 after `selfreward run` in the world of seed 0."""
    from known_world.world import make_world

    world = tmp_path_factory.mktemp("world")
    make_world(world, seed=0)
    command = [sys.executable, "-m", "selfreward.cli.main", "run", str(world / "run.yaml")]
    ended = subprocess.run(
        [*command, "--workdir", str(world / "runs"), "--plain"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return models_truth(world / "runs" / "artifacts" / "namespace=default" / "world")


def test_true_quality_rises_with_every_iteration(truth: list[ModelTruth]) -> None:
    assert [model.model for model in truth] == ["m1", "m2", "m3"]
    qualities = [model.quality for model in truth]
    assert qualities[0] < qualities[1] < qualities[2]


def test_the_learnt_judge_beats_chance_and_length(truth: list[ModelTruth]) -> None:
    for model in truth:
        assert model.judge is not None
        assert model.longest is not None
        assert model.judge > max(0.5, model.longest)
