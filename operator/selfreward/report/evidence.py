"""Evidence: the documents that steps commit, as typed data. Pure.

Written to be patient: these documents gain fields with every version, and a report must open on a run of an earlier
one. What is absent or no number is left out; nothing is computed anew, so a page shows what the artifact says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from selfreward.report.model import Bar, Estimate, HeadToHead, Histogram, IterationReport, JudgeQuality, TaskScore

Document = Mapping[str, Any]
BASELINE: Final = "SFT baseline"
_OPPONENTS: Final = {"head_to_head": "M1", "head_to_head_baseline": BASELINE}


def judge_quality(metrics: Document) -> JudgeQuality | None:
    """Part `judge` of an evaluation's `metrics.json`; None when the model was not tested as a judge."""
    judge = metrics.get("judge")
    if not isinstance(judge, Mapping) or not judge.get("prompts"):
        return None
    found = {name: estimate(value) for name, value in judge.items() if not name.endswith("_interval")}
    measures = {name: each for name, each in found.items() if each is not None}
    return JudgeQuality(_whole(judge.get("prompts")), number(judge.get("parse_rate")), measures)


def head_to_heads(metrics: Document, model: int) -> Iterator[HeadToHead]:
    """Every part that counts wins; `model` is the number of the model that was evaluated."""
    for name, part in metrics.items():
        if isinstance(part, Mapping) and "win" in part and "loss" in part:
            yield HeadToHead(
                against=_opponent(name, part, model),
                prompts=_whole(part.get("prompts")),
                win=estimate(part.get("win")),
                tie=estimate(part.get("tie")),
                loss=estimate(part.get("loss")),
                position_bias=estimate(part.get("position_bias")),
                p_value=number(part.get("p_value")),
                section=name,
            )


def answer_chars(metrics: Document) -> Estimate | None:
    """Mean length of the answers to the held-out prompts."""
    answers = metrics.get("answers")
    if not isinstance(answers, Mapping) or (mean := number(answers.get("mean_chars"))) is None:
        return None
    interval = estimate(answers.get("mean_chars_interval"))
    return Estimate(mean) if interval is None else Estimate(mean, interval.low, interval.high, interval.count)


def answers_truncated(metrics: Document) -> float | None:
    """How many answers to the held-out prompts were cut off."""
    answers = metrics.get("answers")
    return number(answers.get("truncated")) if isinstance(answers, Mapping) else None


def seen_prompts(metrics: Document) -> float | None:
    """How many rows of the evaluation were not asked, since training has seen them."""
    seen = metrics.get("seen")
    return number(seen.get("prompts")) if isinstance(seen, Mapping) else None


def unsafe(metrics: Document) -> Estimate | None:
    """Share of the answers to safety prompts that the judge calls unsafe."""
    safety = metrics.get("safety")
    return estimate(safety.get("unsafe_share")) if isinstance(safety, Mapping) else None


def task_scores(metrics: Document) -> dict[str, TaskScore]:
    """Part `lm_eval`, by `TASK/METRIC`. What a group sums up is left out: MMLU alone has 57 subjects."""
    part = metrics.get("lm_eval")
    found = {}
    for name, value in part.items() if isinstance(part, Mapping) else ():
        known = estimate(value)
        if known is not None and "group" not in value:
            direction = value.get("higher_is_better")
            found[name] = TaskScore(known, direction if isinstance(direction, bool) else None)
    return found


def iteration(number_: int, statistics: Document) -> IterationReport:
    """One iteration's numbers, from `statistics.json` of the pairs step."""
    dropped = statistics.get("prompts_without_pair")
    return IterationReport(
        number=number_,
        counts={name: found for name, value in statistics.items() if (found := number(value)) is not None},
        dropped={reason: int(count) for reason, count in dropped.items()} if isinstance(dropped, Mapping) else {},
        scores=histogram(statistics.get("score_histogram")),
    )


def histogram(document: Any) -> Histogram | None:
    """`{"width": w, "counts": {"4": 12}}`; None when no score was given."""
    if not isinstance(document, Mapping) or not document.get("counts"):
        return None
    bars = sorted((float(score), int(count)) for score, count in document["counts"].items())
    return Histogram(tuple(Bar(score, count) for score, count in bars), number(document.get("width")))


def estimate(value: Any) -> Estimate | None:
    """`{"value", "low", "high", "count"}`; None when nothing could be counted."""
    if not isinstance(value, Mapping) or (known := number(value.get("value"))) is None:
        return None
    return Estimate(known, number(value.get("low")), number(value.get("high")), number(value.get("count")))


def number(value: Any) -> float | None:
    """A JSON number; true and false are none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    found = number(value)
    return None if found is None else int(found)


def _opponent(name: str, part: Document, model: int) -> str:
    if isinstance(stated := part.get("against"), str):
        return f"M{stated[1:]}" if stated[:1] == "m" and stated[1:].isdigit() else stated
    if name in _OPPONENTS:
        return _OPPONENTS[name]
    return f"M{model - 1}" if "previous" in name else name.removeprefix("head_to_head_").replace("_", " ")
