"""The pages that are generated are fresh, and those that are written name everything that can be said, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from plan.faults import Fate, Scripted
from plan.runs import a_walk
from plan.walk import Walk, rows
from selfreward.api import (
    ACCEPTED,
    APPROVED,
    PAUSED,
    RETRY,
    ConditionType,
    Phase,
    Reason,
    RunStatus,
    Schedule,
    StepState,
)
from selfreward.api.reference import as_markdown
from selfreward.control.metrics import Metrics
from selfreward.plan import retry_failed
from selfreward.plan.types import EventReason

DOCS = Path(__file__).parents[2] / "docs"
CONDITIONS = (DOCS / "conditions.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", CONDITIONS, re.MULTILINE | re.DOTALL)
    return str(found)


def states(diagram: str) -> set[str]:
    """Every state that a mermaid diagram goes to or comes from."""
    ends = re.findall(r"^ +(\S+) --> (\w+)", diagram, re.MULTILINE)
    return {state for pair in ends for state in pair} - {"[*]"}


def test_every_link_of_the_reference_leads_somewhere() -> None:
    page = as_markdown()
    anchors = {re.sub(r"[.\[\]]", "", heading.lower()) for heading in re.findall(r"^## (\S+)$", page, re.MULTILINE)}
    assert set(re.findall(r"\(#(\w+)\)", page)) <= anchors


@pytest.mark.parametrize(
    ("title", "values"),
    [
        ("Conditions", ConditionType),
        ("Reasons", Reason),
        ("Events", EventReason),
        ("Annotations", [PAUSED, RETRY, APPROVED, ACCEPTED]),
    ],
)
def test_each_list_is_whole_and_closed(title: str, values: Iterable[str]) -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", section(title), re.MULTILINE)
    assert rows == [str(value) for value in values]


def test_every_reason_says_what_to_do() -> None:
    rows = [line.strip("| ").split(" | ") for line in section("Reasons").splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows if len(row) != 3 or not all(row)] == []


def test_the_diagrams_have_every_state() -> None:
    phases, steps = re.findall(r"```mermaid\n(.*?)```", CONDITIONS, re.DOTALL)
    assert states(phases) == set(Phase)
    assert states(steps) == set(StepState)


def test_the_metrics_are_listed() -> None:
    registry = Metrics().registry
    named = {f"{family.name}_total" if family.type == "counter" else family.name for family in registry.collect()}
    listed = re.findall(r"`(selfreward_[a-z_]+)`", (DOCS / "running.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(named)


def edges(diagram: str) -> set[tuple[str, str]]:
    return set(re.findall(r"^ +(\S+) --> (\w+)", diagram, re.MULTILINE))


def lives() -> Iterator[Walk]:
    """Walks that between them go most ways a run can."""
    plain = a_walk()
    plain.finish()
    plain.edit(iterations=2, schedule=Schedule(cron="@hourly"))
    plain.finish()
    yield plain
    held = a_walk()
    for place in ("import=Running", "respond-1=Running", "dpo-1=Running"):
        held.until(place)
        held.edit(suspend=True)
        held.until("suspended")
        held.edit(suspend=False)
    held.finish()
    yield held
    before = a_walk(suspend=True)
    before.until("suspended")
    before.edit(suspend=False)
    before.finish()
    yield before
    failing = a_walk(Scripted({"sft": [Fate.FAIL_PERMANENT], "dpo-1": [Fate.FAIL, Fate.FAIL_PERMANENT]}))
    while failing.status.phase is not Phase.SUCCEEDED:
        failing.until("finished")
        failing.rewrite(retry_failed(failing.status, failing.world.now))
        failing.step()
    yield failing


def test_runs_go_only_ways_that_the_diagrams_have() -> None:
    phases, steps = (edges(diagram) for diagram in re.findall(r"```mermaid\n(.*?)```", CONDITIONS, re.DOTALL))
    for walk in lives():
        history = [RunStatus(), *walk.history]
        for before, after in pairwise(history):
            assert before.phase is after.phase or (before.phase, after.phase) in phases, (before.phase, after.phase)
            old = rows(before)
            for key, row in rows(after).items():
                was = old[key].state if key in old else StepState.WAITING
                assert was is row.state or (was, row.state) in steps, (key, was, row.state)
