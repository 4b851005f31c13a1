"""How far the evaluated model judges from the model before it, by what both evaluations hold.

Both have judged the ranked test set, so nothing more is asked. It must not talk to a server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypedDict

from selfreward_steps.contract import JUDGED_RANKINGS, mean_score
from selfreward_steps.evaluation.work import Context, Kind
from selfreward_steps.measuring.judge_drift import Scores, judge_drift
from selfreward_steps.rows import read_rows

_BEFORE: Final = (Kind.PREVIOUS, Kind.AGAINST)
"""Roles of the evaluation of the model before; M2's is M1, which has the role of the first."""


class _JudgedAnswer(TypedDict):
    rank: int
    scores: list[float | None]


class _JudgeRow(TypedDict):
    """What is read of a row of `judge.jsonl`."""

    id: str
    answers: list[_JudgedAnswer]


def drift_section(context: Context, folder: Path) -> dict[str, Any]:
    """`drift` and the prompts that it was counted from, for part `judge` of `metrics.json`; empty where no judge was
    before, as for M1, or none has judged the same answers."""
    role = next((kind for kind in _BEFORE if kind.value in context.config.inputs), None)
    if role is None:
        return {}
    before = _scores(context.fetch(role.value) / JUDGED_RANKINGS)
    both = [(mine, before[key]) for key, mine in _scores(folder / JUDGED_RANKINGS).items() if key in before]
    if not both:
        return {}
    drift = judge_drift(both, context.seed)
    return {"drift": drift.as_json(), "drift_prompts": round(drift.count)}


def _scores(path: Path) -> dict[tuple[str, tuple[int, ...]], Scores]:
    """Mean scores of each ranked prompt's answers, by the prompt and the ranks of its answers."""
    return {
        (row["id"], tuple(each["rank"] for each in row["answers"])): [
            mean_score(each["scores"]) for each in row["answers"]
        ]
        for row in read_rows(path, _JudgeRow)
    }
