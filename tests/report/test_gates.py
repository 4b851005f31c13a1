"""The gates as a page lists them: by iteration, with the number, the limit and what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report.conftest import NOW
from report.made_run import MadeRun
from report.test_page import Page
from selfreward.api import ACCEPTED, SelfRewardRun
from selfreward.report.gates import gate_reports
from selfreward.report.model import GateReport, RunReport
from selfreward.report.page import render_report


def made(folder: Path, until: str = "", annotations: dict[str, str] | None = None, **gates: Any) -> SelfRewardRun:
    run, _ = MadeRun(folder, iterations=1, until=until, spec={"gates": gates}).make()
    return run.model_copy(update={"metadata": run.metadata.model_copy(update={"annotations": annotations or {}})})


def told(reports: tuple[GateReport, ...]) -> list[tuple[int, str, str, str, str, str]]:
    return [(each.iteration, each.name, each.step, each.value, each.limit, each.state) for each in reports]


def test_what_was_measured_stands_beside_its_limit(tmp_path: Path) -> None:
    reports = gate_reports(made(tmp_path))
    assert told(reports) == [
        (0, "judgeAccuracy", "evaluate-m1", "4%", "at least 0%", "kept"),
        (1, "parseRate", "pairs-1", "95%", "at least 50%", "kept"),
        (1, "pairs", "pairs-1", "83%", "at least 20%", "kept"),
        (1, "rewardMargin", "dpo-1", "0.004", "at least 0.01", "tripped"),
        (1, "judgeAccuracy", "evaluate-m2", "4%", "at least 0%", "kept"),
    ]
    (tripped,) = [each for each in reports if each.message]
    assert (tripped.name, tripped.action) == ("rewardMargin", "warn")
    assert tripped.message.startswith("DPO ended with a reward margin of 0.004")


@pytest.mark.parametrize(
    ("annotations", "state"),
    [({}, "tripped"), ({ACCEPTED: "0"}, "tripped"), ({ACCEPTED: "1"}, "accepted")],
    ids=["nobody has looked", "of the iteration before", "accepted"],
)
def test_a_gate_that_somebody_accepted(tmp_path: Path, annotations: dict[str, str], state: str) -> None:
    pause = {"rewardMargin": {"action": "pause"}}
    (found,) = [each for each in gate_reports(made(tmp_path, annotations=annotations, **pause)) if each.message]
    assert (found.state, found.action) == (state, "pause")


def test_nothing_is_listed_before_it_is_measured(tmp_path: Path) -> None:
    assert gate_reports(made(tmp_path, until="sft")) == ()


def test_the_page_lists_them_by_iteration(whole: RunReport) -> None:
    text = Page(render_report(whole, NOW)).text
    gates = text[text.index("Gates The way to M1") : text.index("Limits are those of")]
    places = [gates.index(words) for words in ("The way to M1", "Iteration 1", "Iteration 2")]
    assert places == sorted(places)
    assert "rewardMargin 0.004, at least 0.01: tripped (warn) dpo-2 DPO ended with" in gates
