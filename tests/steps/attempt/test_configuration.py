"""A configuration that no step can begin with: one line that names the field, and exit code 64."""

import subprocess
import sys
from typing import Any

import pytest
from steps.attempt.launching import Place


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "SELFREWARD_CONFIG is not set"),
        ("{", "Invalid JSON"),
        ({"step": "pairs", "runn": "x"}, "pairs.run: Field required"),
        ({"step": "dpo"}, "dpo.run: Field required"),
    ],
    ids=["absent", "torn", "misspelt", "incomplete"],
)
def test_a_broken_configuration_names_the_field(place: Place, config: Any, message: str) -> None:
    ended = place.launch("commits", config)
    assert ended.returncode == 64
    assert len(ended.stderr.splitlines()) == 1
    assert message in ended.stderr


def test_a_configuration_of_another_step_is_refused(place: Place) -> None:
    ended = place.launch("commits", place.config("judge"))
    assert ended.returncode == 64
    assert "'judge', but 'pairs' was asked for" in ended.stderr


def test_an_unknown_step_lists_the_known_ones(place: Place) -> None:
    command = [sys.executable, "-m", "selfreward_steps", "train"]
    ended = subprocess.run(command, env=place.environment(None), capture_output=True, text=True, check=False)
    assert ended.returncode == 64
    assert "STEP is one of import, sft-baseline" in ended.stderr


@pytest.mark.parametrize("index", [{}, {"JOB_COMPLETION_INDEX": "2"}, {"JOB_COMPLETION_INDEX": "-1"}])
def test_a_shard_out_of_range_is_refused(place: Place, index: dict[str, str]) -> None:
    ended = place.launch("commits", place.config("judge", shards=2), "judge", **index)
    assert ended.returncode == 64
    assert "is not a shard of 2" in ended.stderr
