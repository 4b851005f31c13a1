"""Documents of steps, read with patience."""

from __future__ import annotations

from typing import Any

import pytest
from report.made_run import metrics, statistics
from selfreward.report import evidence
from selfreward.report.model import Bar, Estimate, TaskScore

RATE = {"value": 0.5, "low": 0.4, "high": 0.6, "count": 10.0}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(RATE, Estimate(0.5, 0.4, 0.6, 10.0), id="with its interval"),
        pytest.param({"value": 0.5}, Estimate(0.5), id="without an interval"),
        pytest.param({"value": 0.0, "low": 0.0, "high": 0.0}, Estimate(0.0, 0.0, 0.0), id="zero is a number"),
        pytest.param({"value": None, "low": None, "high": None, "count": 0.0}, None, id="nothing to count"),
        pytest.param(0.5, None, id="a plain number"),
        pytest.param(None, None, id="absent"),
        pytest.param({"value": True}, None, id="no number"),
    ],
)
def test_an_estimate(value: Any, expected: Estimate | None) -> None:
    assert evidence.estimate(value) == expected


def test_judge_quality_is_the_documents_own_numbers() -> None:
    quality = evidence.judge_quality(metrics(2))
    assert quality is not None
    assert (quality.prompts, quality.parse_rate) == (120, 0.9)
    assert quality.accuracy == Estimate(0.70, 0.66, 0.74, 400.0)
    assert quality.longest_wins is not None
    assert quality.length_balanced is not None
    assert "kendall_tau" not in quality.measures, "it was null"
    assert "prompts" not in quality.measures


@pytest.mark.parametrize(
    "document", [{}, {"judge": None}, {"judge": {"prompts": 0}}], ids=["nothing", "null", "no ranked prompt"]
)
def test_a_model_that_was_no_judge(document: dict[str, Any]) -> None:
    assert evidence.judge_quality(document) is None


@pytest.mark.parametrize(
    ("name", "extra", "against"),
    [
        pytest.param("head_to_head", {}, "M1", id="against M1"),
        pytest.param("head_to_head_previous", {}, "M2", id="against the model before"),
        pytest.param("head_to_head", {"against": "m2"}, "M2", id="the document names a model"),
        pytest.param("head_to_head_outside", {"against": "GPT-4 Turbo"}, "GPT-4 Turbo", id="and outside answers"),
        pytest.param("head_to_head_outside_answers", {}, "outside answers", id="a name of a later version"),
    ],
)
def test_whom_a_model_met(name: str, extra: dict[str, Any], against: str) -> None:
    part = {"prompts": 7, "win": RATE, "tie": RATE, "loss": RATE, **extra}
    (found,) = evidence.head_to_heads({"judge": {"prompts": 1}, "answers": {"prompts": 7}, name: part}, 3)
    assert (found.against, found.prompts, found.win) == (against, 7, Estimate(0.5, 0.4, 0.6, 10.0))


def test_scores_of_lm_eval_are_those_of_groups_and_single_tasks() -> None:
    assert evidence.task_scores(metrics(1)) == {
        "arc_easy/acc": TaskScore(Estimate(0.7, 0.66, 0.74, 400.0), True),
        "mmlu/acc": TaskScore(Estimate(0.4, 0.36, 0.44, 400.0), True),
        "wikitext/word_perplexity": TaskScore(Estimate(12.5), False),
    }
    assert evidence.task_scores({}) == {}


def test_what_later_versions_measure_too() -> None:
    document = {
        "judge": {"prompts": 3, "parse_rate_interval": RATE, "pairwise_accuracy": RATE},
        "answers": {
            "prompts": 3,
            "mean_chars": 50.0,
            "mean_chars_interval": {"value": 50.0, "low": 40.0, "high": 60.0},
        },
        "safety": {"prompts": 4, "unparsed": 0, "unsafe_share": RATE},
        "head_to_head": {"win": RATE, "tie": RATE, "loss": RATE, "position_bias": RATE, "p_value": 0.25},
    }
    quality = evidence.judge_quality(document)
    assert quality is not None
    assert set(quality.measures) == {"pairwise_accuracy"}
    assert evidence.answer_chars(document) == Estimate(50.0, 40.0, 60.0)
    assert evidence.unsafe(document) == Estimate(0.5, 0.4, 0.6, 10.0)
    (met,) = evidence.head_to_heads(document, 2)
    assert met.position_bias == Estimate(0.5, 0.4, 0.6, 10.0)
    assert met.p_value == 0.25


def test_an_iteration_is_its_statistics() -> None:
    document = statistics(prompts=10, pairs=8, iteration=1)
    found = evidence.iteration(1, document)
    assert {name: found.count(name) for name in ("pairs", "parse_rate", "mean_margin")} == {
        name: document[name] for name in ("pairs", "parse_rate", "mean_margin")
    }
    assert found.dropped == {"unscored": 0, "tied": 2}
    assert found.count("of_a_later_version") is None
    assert found.scores is not None
    assert found.scores.bars[0] == Bar(0.0, 5)
    assert found.scores.total == 96


def test_bars_stand_in_the_order_of_their_scores() -> None:
    found = evidence.histogram({"width": 0.5, "counts": {"10": 1, "2.5": 3, "-1": 2}})
    assert found is not None
    assert [bar.score for bar in found.bars] == [-1.0, 2.5, 10.0]
    assert found.width == 0.5


@pytest.mark.parametrize("document", [None, {}, {"width": None, "counts": {}}], ids=["absent", "empty", "no score"])
def test_no_histogram(document: Any) -> None:
    assert evidence.histogram(document) is None
