"""Several runs side by side."""

from __future__ import annotations

from dataclasses import replace

from report.conftest import NOW
from report.test_page import Page
from selfreward.report import comparison
from selfreward.report.model import RunReport
from selfreward.report.page import render_comparison


def other(whole: RunReport) -> RunReport:
    """Half a run, with another judge."""
    half = [replace(model, digest=None) if model.number > 2 else model for model in whole.models]
    spec = whole.spec + "judge:\n  model: initial\ndeadlines:\n  step: 7\n"
    return replace(whole, name="frozen", models=tuple(half), iterations=whole.iterations[:1], spec=spec)


def test_a_row_for_every_model_that_is_there(whole: RunReport) -> None:
    rows = comparison.compared([whole, other(whole)])
    assert [(row.run, row.model) for row in rows] == [
        ("made", "SFT baseline"),
        ("made", "M1"),
        ("made", "M2"),
        ("made", "M3"),
        ("frozen", "SFT baseline"),
        ("frozen", "M1"),
        ("frozen", "M2"),
    ]
    baseline, first, second, third = rows[:4]
    # M1 won half of its comparisons with the baseline and lost a fifth.
    assert baseline.win is not None
    assert baseline.loss is not None
    assert (baseline.win.value, baseline.loss.value, baseline.p_value) == (0.2, 0.5, 1e-6)
    assert baseline.judge is not None
    assert baseline.judge.value == 0.6
    assert (first.pairs, first.win, first.mean_score) == (None, None, None)
    assert third.judge == whole.models[3].judge.accuracy if whole.models[3].judge else None
    assert second.pairs == whole.iterations[0].count("pairs")
    assert second.gpu_seconds == sum(step.gpu_seconds or 0 for step in whole.models[2].made_by)


def test_rows_for_programs_keep_the_intervals(whole: RunReport) -> None:
    rows = comparison.plain_rows([whole])
    assert all(tuple(row) == comparison.COLUMNS for row in rows)
    assert (rows[3]["judge"], rows[3]["judge_low"], rows[3]["judge_high"]) == (0.75, 0.71, 0.79)
    assert (rows[1]["win"], rows[1]["win_low"]) == (None, None)
    assert (rows[3]["prompts"], rows[3]["p_value"]) == (256, 1e-6)


def test_the_table_says_what_wins_rest_on(whole: RunReport) -> None:
    table = comparison.model_table([whole])
    place = table.headings.index("wins against losses")
    assert [row[place] for row in table.rows] == [
        "sign test p < 0.001",
        "–",
        "sign test p < 0.001",
        "sign test p < 0.001",
    ]


def test_runs_of_one_name_are_told_apart(whole: RunReport) -> None:
    assert {row.run for row in comparison.compared([whole, whole])} == {"made", "made (2)"}


def test_what_sets_them_apart(whole: RunReport) -> None:
    """How long a step may take changes nothing that comes out."""
    table = comparison.differences([whole, other(whole)])
    assert table is not None
    assert table.headings == ("", "made", "frozen")
    assert table.rows == (("judge.model", "default", "initial"),)
    assert comparison.differences([whole, whole]) is None


def test_the_page(whole: RunReport) -> None:
    page = Page(render_comparison([whole, other(whole)], NOW))
    assert "made · frozen" in page.text
    assert "judge.model default initial" in page.text
    labels = [attrs["aria-label"] or "" for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"]
    assert len(labels) == 3
    assert "made: 75% at M3" in labels[0]
    assert "frozen: 70% at M2" in labels[0]
    assert [attrs for tag, attrs in page.tags if tag == "script"] == [{}], "the one that hides what a word means"


def test_runs_of_which_nothing_is_measured_have_no_figure(whole: RunReport) -> None:
    bare = replace(
        whole, models=tuple(replace(m, judge=None, head_to_heads=(), answer_chars=None) for m in whole.models)
    )
    assert comparison.figure([bare]) is None
    assert b"<h2" in render_comparison([bare], NOW)
