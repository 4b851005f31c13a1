"""The picture of the graph of steps."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from itertools import pairwise
from typing import Any

import pytest
from plan.graph.shapes import ALIGNED, ENDPOINT, OTHER_JUDGE
from plan.runs import DATA, a_run
from report.conftest import NOW
from selfreward.api import StepState
from selfreward.report.model import StepReport
from selfreward.report.reading import step_reports
from selfreward.report.step_graph import step_graph

WIDE, TALL = 164.0, 38.0
BOX = re.compile(
    rf'<rect class="step (\w+)" x="([\d.]+)" y="([\d.]+)" width="{WIDE:g}" height="{TALL:g}" rx="6"/>'
    r'<text class="name" [^>]*>([^<]+)</text><text class="told \w+" [^>]*>([^<]+)</text>'
)
SPECS = [
    pytest.param({}, id="the paper"),
    pytest.param({"iterations": 10}, id="ten iterations"),
    pytest.param(ALIGNED, id="no human data"),
    pytest.param({"evaluation": {"source": DATA, "judge": ENDPOINT}}, id="own evaluation, answers apart"),
    pytest.param({"judge": OTHER_JUDGE, "preferences": {"history": "all", "rejected": "anchored"}}, id="anchored"),
    pytest.param({"training": {"dpo": {"selection": {"checkpoints": 3}}}}, id="checkpoints"),
]


def steps_of(**spec: Any) -> tuple[StepReport, ...]:
    return step_reports(a_run(**spec), NOW)


def boxes(picture: str) -> dict[str, tuple[float, float]]:
    """The upper left corner of each step's box."""
    return {unescape(key): (float(x), float(y)) for _, x, y, key, _ in BOX.findall(picture)}


def lines(picture: str) -> list[list[tuple[float, float]]]:
    """The corners of each line, its arrow left out."""
    found = []
    for path in re.findall(r'<path class="edge" d="M([^"]+?) M', picture):
        start, *turns = path.split()
        x, y = map(float, start.split(","))
        corners = [(x, y)]
        for turn in turns:
            x, y = (float(turn[1:]), y) if turn[0] == "H" else (x, float(turn[1:]))
            corners.append((x, y))
        found.append(corners)
    return found


def edges(picture: str) -> set[tuple[str, str]]:
    """The steps that each line joins."""
    right = {(x + WIDE, y + TALL / 2): key for key, (x, y) in boxes(picture).items()}
    left = {(x, y + TALL / 2): key for key, (x, y) in boxes(picture).items()}
    return {(right[line[0]], left[line[-1]]) for line in lines(picture)}


@pytest.mark.parametrize("spec", SPECS)
def test_every_step_has_a_box_of_its_own(spec: dict[str, Any]) -> None:
    steps = steps_of(**spec)
    found = boxes(step_graph(steps))
    assert list(found) == [step.key for step in steps]
    places = sorted(found.values())
    assert all(
        abs(x - other_x) >= WIDE or abs(y - other_y) >= TALL
        for place, (x, y) in enumerate(places)
        for other_x, other_y in places[:place]
    )


@pytest.mark.parametrize("spec", SPECS)
def test_lines_lead_from_all_that_a_step_waits_for_and_no_line_is_said_by_others(spec: dict[str, Any]) -> None:
    steps = steps_of(**spec)
    direct = edges(step_graph(steps))
    reached: dict[str, set[str]] = {}
    for step in steps:
        before = {start for start, end in direct if end == step.key}
        assert not any(one in reached[other] for one in before for other in before)
        reached[step.key] = before.union(*(reached[each] for each in before))
        assert set(step.after) <= reached[step.key]


@pytest.mark.parametrize("spec", SPECS)
def test_no_line_runs_through_a_box(spec: dict[str, Any]) -> None:
    picture = step_graph(steps_of(**spec))
    places = boxes(picture).values()
    for line in lines(picture):
        for (x1, y1), (x2, y2) in pairwise(line):
            assert not any(
                min(x1, x2) < x + WIDE and max(x1, x2) > x and min(y1, y2) < y + TALL and max(y1, y2) > y
                for x, y in places
            ), (line, x1, y1, x2, y2)


def test_a_state_is_said_in_words_too() -> None:
    states = list(StepState)
    steps = [replace(step, state=state) for step, state in zip(steps_of(), states, strict=False)]
    found = {key: (kind, words) for kind, _, _, key, words in BOX.findall(step_graph(steps))}
    assert found == {
        "import": ("waiting", "waiting"),
        "sft-baseline": ("starting", "starting"),
        "eft": ("running", "▸ running"),
        "sft": ("succeeded", "✓ succeeded"),
        "evaluate-sft-baseline": ("failed", "✗ failed"),
    }


def test_who_does_not_see_it_is_told_the_same() -> None:
    label = re.search(r'aria-label="([^"]+)"', step_graph(steps_of()))
    assert label is not None
    assert "dpo-1 after pairs-1: waiting" in label[1]


def test_without_steps_there_is_no_picture() -> None:
    assert step_graph(()) == ""
