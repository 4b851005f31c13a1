"""Highlights: every step has phrases, and a phrase without its numbers is left out."""

from __future__ import annotations

import pytest
from selfreward.report.highlights import _PHRASES, highlights
from selfreward_steps.contract import StepName


def test_every_step_has_phrases() -> None:
    assert _PHRASES.keys() == set(StepName)


@pytest.mark.parametrize("step", StepName)
def test_a_step_that_has_said_nothing_shows_nothing(step: StepName) -> None:
    assert highlights(step, {}) == ""


def test_a_phrase_needs_all_its_numbers() -> None:
    assert highlights(StepName.JUDGE, {"candidates": 64, "concurrency_measured": 15.9}) == "64 candidates"


def test_tasks_of_lm_eval_are_counted_beyond_four() -> None:
    scores = {f"lm_eval/task{number}": 0.25 for number in range(6)}
    assert highlights(StepName.EVALUATE, scores).endswith("task3 0.25, 2 more of lm-eval")
