"""Comparisons and the judge's rankings, from the artifacts that lie there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report.conftest import NOW
from report.made_run import MadeRun
from selfreward.report.model import RunReport
from selfreward.report.reading import read_report
from selfreward.report.texts.model import RankedReport, Sample


def test_every_comparison_with_both_answers_and_its_outcome(whole: RunReport, tmp_path: Path) -> None:
    found = whole.excerpt.comparisons
    groups = [(row.model, row.against) for row in found.rows]
    assert list(dict.fromkeys(groups)) == [("M1", "SFT baseline"), ("M2", "M1"), ("M3", "M1")]
    assert (len(found.rows), found.available) == (18, 18)
    run, store = MadeRun(tmp_path).make()
    with store.open("evaluation/m3", "comparisons.jsonl") as lines:
        stated = [json.loads(line) for line in lines]
    rows = [row for row in read_report(run, store, NOW).excerpt.comparisons.rows if row.model == "M3"]
    assert [(row.id, row.prompt, row.answer, row.other, row.outcome) for row in rows] == [
        (row["id"], row["prompt"], row["answer"], row["against"], row["outcome"]) for row in stated
    ]


def ranked(sample: Sample[RankedReport], model: str) -> list[RankedReport]:
    return [row for row in sample.rows if row.model == model]


def test_every_ranked_prompt_as_each_model_judged_it(whole: RunReport) -> None:
    found = whole.excerpt.rankings
    assert list(dict.fromkeys(row.model for row in found.rows)) == ["SFT baseline", "M1", "M2", "M3"]
    assert (len(found.rows), found.available) == (24, 24)
    first = ranked(found, "M2")[0]
    assert [(each.rank, each.scores) for each in first.answers] == [(0, (1.0, 1.0)), (1, (3.0, 3.0)), (2, (5.0, 5.0))]
    assert first.answers[0].text.startswith("The answer that people like best. (0,")
    assert first.answers[0].critiques == ("I would say 1.", "")


def test_answers_that_are_not_in_the_store_are_left_empty(tmp_path: Path) -> None:
    run, store = MadeRun(tmp_path, iterations=1).make()
    (tmp_path / "artifacts" / "namespace=default" / "made" / "eft" / "test.jsonl").unlink()
    found = read_report(run, store, NOW)
    assert {each.text for row in found.excerpt.rankings.rows for each in row.answers} == {""}


@pytest.mark.parametrize("candidates", [60, 90])
def test_beyond_the_limit_the_same_prompts_of_every_model(tmp_path: Path, candidates: int) -> None:
    run, store = MadeRun(tmp_path, prompts=20).make()
    found = read_report(run, store, NOW, candidates=candidates).excerpt
    each = candidates // 5 // 3
    met = [{row.id for row in found.comparisons.rows if row.model == model} for model in ("M1", "M2", "M3")]
    assert met[0] == met[1] == met[2]
    assert (len(met[0]), found.comparisons.available) == (each, 60)
    judged = [{row.id for row in ranked(found.rankings, model)} for model in ("SFT baseline", "M1", "M3")]
    assert judged[0] == judged[1] == judged[2]
    assert (len(judged[0]), found.rankings.available) == (candidates // 5 // 4, 80)
