"""A comparison of several runs: a row for every model, one figure, and where their specs differ. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import yaml

from selfreward.report.charts import Series, Words, line_chart, swatch
from selfreward.report.figures import ABSENT, Figure, Table
from selfreward.report.grounds import sign_test
from selfreward.report.model import Estimate, HeadToHead, ModelReport, RunReport
from selfreward.report.verdict import percent
from selfreward.report.words import number

_UNIMPORTANT: Final = ("storage.", "deadlines.", "retry.", "workloads.", "ttlSecondsAfterFinished", "suspend")
"""Fields that change where and how long a run runs, not what comes out."""


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """One model of one run: what it learnt from, what it is worth, what it cost."""

    run: str
    model: str
    pairs: float | None
    """Preference pairs of the iteration that made it; None for M1."""
    judge: Estimate | None
    longest_wins: Estimate | None
    length_balanced: Estimate | None
    win: Estimate | None
    loss: Estimate | None
    """Shares won and lost against M1 of the same run."""
    prompts: int | None
    p_value: float | None
    """Of the sign test of these wins and losses, and over how many prompts."""
    answer_chars: Estimate | None
    mean_score: float | None
    """Of what the judge gave the candidates that it learnt from."""
    gpu_seconds: float
    """Of all steps from the model before to this one."""


def compared(reports: Sequence[RunReport]) -> tuple[ComparedModel, ...]:
    """Every model that is there, M0 aside, in the order of the runs; the SFT baseline before M1."""
    return tuple(row for name, report in _named(reports) for row in _rows(name, report))


def _rows(name: str, report: RunReport) -> Iterator[ComparedModel]:
    rounds = {each.number + 1: each for each in report.iterations}
    for model in report.evaluated:
        if model.digest is None or (model.number == 0 and model is not report.baseline):
            continue
        made, judge, first = rounds.get(model.number), model.judge, _against_m1(report, model)
        yield ComparedModel(
            run=name,
            model=model.name,
            pairs=None if made is None else made.count("pairs"),
            judge=None if judge is None else judge.accuracy,
            longest_wins=None if judge is None else judge.longest_wins,
            length_balanced=None if judge is None else judge.length_balanced,
            win=None if first is None else first.win,
            loss=None if first is None else first.loss,
            prompts=None if first is None else first.prompts,
            p_value=None if first is None else first.p_value,
            answer_chars=model.answer_chars,
            mean_score=None if made is None else made.count("mean_score"),
            gpu_seconds=sum(step.gpu_seconds or 0.0 for step in model.made_by),
        )


def _against_m1(report: RunReport, model: ModelReport) -> HeadToHead | None:
    """The model's comparison with M1; the SFT baseline's is M1's with it, seen from the other side."""
    if model is not report.baseline:
        return model.against("M1")
    met = next((each for other in report.models if (each := other.against(model.name))), None)
    return None if met is None else replace(met, against="M1", win=met.loss, loss=met.win)


def _named(reports: Sequence[RunReport]) -> list[tuple[str, RunReport]]:
    """Each with its name, which must tell it apart: two work directories may hold runs of one name."""
    seen: Counter[str] = Counter()
    found = []
    for report in reports:
        seen[report.name] += 1
        found.append((report.name if seen[report.name] == 1 else f"{report.name} ({seen[report.name]})", report))
    return found


def model_table(reports: Sequence[RunReport]) -> Table:
    """The compared models as a table of words."""
    headings = (
        "run",
        "model",
        "pairs",
        "agrees with people",
        "longest wins",
        "length-balanced",
        "wins v M1",
        "loses",
        "wins against losses",
        "characters",
        "mean score",
        "GPU-seconds",
    )
    return Table(headings, tuple(map(_words, compared(reports))))


def _words(row: ComparedModel) -> tuple[str, ...]:
    rates = (row.judge, row.longest_wins, row.length_balanced, row.win, row.loss)
    return (
        row.run,
        row.model,
        _number(row.pairs),
        *(ABSENT if rate is None else percent(rate) for rate in rates),
        ABSENT if row.win is None else sign_test(row.prompts, row.p_value),
        _number(None if row.answer_chars is None else row.answer_chars.value),
        ABSENT if row.mean_score is None else f"{row.mean_score:.2f}",
        _number(row.gpu_seconds),
    )


_ESTIMATES: Final = ("judge", "longest_wins", "length_balanced", "win", "loss", "answer_chars")
COLUMNS: Final = tuple(
    column
    for each in fields(ComparedModel)
    for column in ((each.name, f"{each.name}_low", f"{each.name}_high") if each.name in _ESTIMATES else (each.name,))
)
"""Names of the columns of `plain_rows`, in their order."""


def plain_rows(reports: Sequence[RunReport]) -> list[dict[str, Any]]:
    """The rows for programs: the estimate `judge` becomes `judge`, `judge_low` and `judge_high`."""
    return [dict(_flat(row)) for row in compared(reports)]


def _flat(row: ComparedModel) -> Iterator[tuple[str, Any]]:
    for each in fields(row):
        value = getattr(row, each.name)
        if each.name not in _ESTIMATES:
            yield each.name, value
            continue
        for column, part in ((each.name, "value"), (f"{each.name}_low", "low"), (f"{each.name}_high", "high")):
            yield column, None if value is None else getattr(value, part)


def figure(reports: Sequence[RunReport]) -> Figure | None:
    """Judge, wins and lengths by model, a line for each run; panels share the runs' legend."""
    runs = _named(reports)
    models = sorted({model.number for report in reports for model in report.models if model.number > 0})
    panels = [
        _panel("agrees with people", runs, models, _judge, _percent, 0.5),
        _panel("wins v M1", runs, models, _win, _percent),
        _panel("characters an answer", runs, models, lambda model: model.answer_chars, number, floor=0),
    ]
    if not any(panels):
        return None
    legend = tuple((swatch(Series(name, ()), place), name) for place, (name, _) in enumerate(runs))
    note = "One line for each run, with 95% intervals. Dotted line: chance."
    return Figure("Runs compared", note, "".join(panels), legend)


def _panel(
    title: str,
    runs: Sequence[tuple[str, RunReport]],
    models: Sequence[int],
    value: Callable[[ModelReport], Estimate | None],
    words: Words,
    reference: float | None = None,
    floor: float | None = None,
) -> str:
    series = []
    for name, report in runs:
        known = {model.number: value(model) for model in report.models}
        series.append(Series(name, tuple(known.get(each) for each in models)))
    told = "; ".join(
        f"{each.name}: {words(point.value)} at M{models[place]}"
        for each in series
        for place, point in enumerate(each.points)
        if point is not None
    )
    names = [f"M{each}" for each in models]
    drawn = line_chart(f"{title}. {told}", names, series, words, reference=reference, floor=floor)
    return f'<div class="panel"><p>{title}</p>{drawn}</div>' if drawn else ""


def differences(reports: Sequence[RunReport]) -> Table | None:
    """Fields of the spec in which the runs differ; `default` where a run leaves one alone."""
    runs = _named(reports)
    specs = [dict(_fields(yaml.safe_load(report.spec) or {})) for _, report in runs]
    rows = []
    for field in dict.fromkeys(field for spec in specs for field in spec):
        values = tuple(spec.get(field, "default") for spec in specs)
        if len(set(values)) > 1 and not field.startswith(_UNIMPORTANT):
            rows.append((field, *values))
    return Table(("", *(name for name, _ in runs)), tuple(rows)) if rows else None


def _fields(document: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from _fields(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", str(value)


def _judge(model: ModelReport) -> Estimate | None:
    return None if model.judge is None else model.judge.accuracy


def _win(model: ModelReport) -> Estimate | None:
    first = model.against("M1")
    return None if first is None else first.win


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _number(value: float | None) -> str:
    return ABSENT if value is None else f"{value:,.0f}"
