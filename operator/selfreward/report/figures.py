"""The figures and tables of a report. Pure: from the typed report to drawings and rows of words.

Every figure comes with its numbers as a table: some readers do not see drawings, and all want to copy a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from selfreward.report.bars import histogram_chart, score_span, share_bars
from selfreward.report.charts import Series, Words, line_chart, swatch
from selfreward.report.grounds import sign_test
from selfreward.report.model import Estimate, HeadToHead, IterationReport, ModelReport, RunReport, TaskScore
from selfreward.report.verdict import percent
from selfreward.report.words import number

ABSENT: Final = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """A heading for every column and rows of words; the first column names its row."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """One drawing; `legend` is a sample and a name for every series."""

    title: str
    note: str
    drawing: str
    legend: tuple[tuple[str, str], ...] = ()


_MEASURES: Final = {
    "pairwise_accuracy": "pairwise accuracy",
    "pairwise_accuracy_longest_wins": "… if the longest won",
    "pairwise_accuracy_length_balanced": "… length-balanced",
    "best_of_top_score": "5-best",
    "exact_match": "exact match",
    "spearman": "Spearman ρ",
    "kendall_tau": "Kendall τ",
    "position_bias": "chosen by position alone",
    "drift": "drift from the judge before",
}
_NO_SHARES: Final = ("spearman", "kendall_tau", "drift")


def judge_figure(report: RunReport) -> Figure | None:
    """Pairwise accuracy against what length alone would get."""
    judged = [model for model in report.evaluated if model.judge is not None]
    lines = {
        "agrees with people": ("pairwise_accuracy", False),
        "length-balanced": ("pairwise_accuracy_length_balanced", False),
        "longest answer wins": ("pairwise_accuracy_longest_wins", True),
    }
    series = [
        Series(name, tuple(_measure(model, key) for model in judged), is_baseline)
        for name, (key, is_baseline) in lines.items()
    ]
    note = "Share of pairs of ranked answers that the judge puts in the order that people gave. Thin line: chance."
    return lines_figure(
        "The judge against its baselines", note, [model.name for model in judged], series, _percent, 0.5
    )


def judge_table(report: RunReport) -> Table | None:
    """The paper's five numbers and what length alone would get, by model, the SFT baseline first (paper, table 4)."""
    judged = [(model, model.judge) for model in report.evaluated if model.judge is not None]
    if not judged:
        return None
    names = list(dict.fromkeys([*_MEASURES, *(name for _, judge in judged for name in judge.measures)]))
    rows = [
        (_MEASURES.get(name, name.replace("_", " ")), *(_shown(name, judge.measures.get(name)) for _, judge in judged))
        for name in names
        if any(name in judge.measures for _, judge in judged)
    ]
    rows.append(("scores that parse", *(_rate(judge.parse_rate) for _, judge in judged)))
    rows.append(("ranked prompts", *(_number(judge.prompts) for _, judge in judged)))
    return Table(("", *(model.name for model, _ in judged)), tuple(rows))


def wins_figure(report: RunReport) -> Figure | None:
    """The shares won, tied and lost in every comparison."""
    met = _comparisons(report)
    rows = [
        (f"{model.name} v {each.against}", (each.win, each.tie, each.loss))
        for model, each in met
        if each.win is not None and each.tie is not None and each.loss is not None
    ]
    if not rows:
        return None
    drawing = share_bars(
        "; ".join(
            f"{name}: {percent(win)} won, {percent(tie)} tied, {percent(loss)} lost" for name, (win, tie, loss) in rows
        ),
        [name for name, _ in rows],
        [shares for _, shares in rows],
    )
    legend = tuple((f'<i class="swatch w{index}"></i>', name) for index, name in enumerate(("won", "tied", "lost")))
    note = "Held-out prompts, judged in both orders; where they disagree it is a tie. Line: interval of the share won."
    return Figure("Head to head", note, drawing, legend)


def wins_table(report: RunReport) -> Table | None:
    """The same shares as a table, with their intervals."""
    met = _comparisons(report)
    biased = any(each.position_bias is not None for _, each in met)
    rows = []
    for model, each in met:
        rates = (each.win, each.tie, each.loss, *((each.position_bias,) if biased else ()))
        grounds = (_number(each.prompts), sign_test(each.prompts, each.p_value))
        rows.append((f"{model.name} v {each.against}", *map(_percent_of, rates), *grounds))
    headings = ("", "won", "tied", "lost", *(("position bias",) if biased else ()), "prompts", "won against lost")
    return Table(headings, tuple(rows)) if rows else None


def tasks_table(report: RunReport) -> Table | None:
    """lm-eval's scores by model and what the newest has lost or won since the first: the alignment tax."""
    tried = [model for model in report.models if model.tasks]
    names = dict.fromkeys(name for model in tried for name in model.tasks)
    if not names:
        return None
    first, newest = tried[0], tried[-1]
    rows = []
    for name in names:
        known = [model.tasks.get(name) for model in tried]
        arrow = {True: " ↑", False: " ↓", None: ""}[next(each for each in known if each).higher_is_better]
        cells = [_precise(None if each is None else each.estimate) for each in known]
        change = [_change(known[0], known[-1])] if newest is not first else []
        rows.append((f"{name}{arrow}", *cells, *change))
    change_heading = (f"{newest.name} − {first.name}",) if newest is not first else ()
    return Table(("", *(model.name for model in tried), *change_heading), tuple(rows))


def length_figure(report: RunReport) -> Figure | None:
    """Mean lengths by model: of its answers, and of what it learnt to prefer and to avoid."""
    models = [model for model in report.models if model.number > 0]
    rounds = {each.number: each for each in report.iterations}
    counts = {
        "its candidates": "mean_candidate_chars",
        "chosen": "mean_chosen_chars",
        "rejected": "mean_rejected_chars",
    }
    series = [Series("held-out answers", tuple(model.answer_chars for model in models))]
    for name, key in counts.items():
        series.append(Series(name, tuple(_plain(_count(rounds.get(model.number), key)) for model in models)))
    note = "Mean characters. The answers chosen among a model's candidates teach the next model."
    return lines_figure("Lengths", note, [model.name for model in models], series, number, floor=0)


def score_figures(report: RunReport) -> tuple[Figure, ...]:
    """A histogram of the judge's scores for each iteration, on one scale."""
    known = [(each, each.scores) for each in report.iterations if each.scores is not None]
    if not known:
        return ()
    low, high, top = score_span([scores for _, scores in known])
    figures = []
    for each, scores in known:
        mean, parsed = each.count("mean_score"), each.count("parse_rate")
        words = [f"mean {mean:.2f}" if mean is not None else "", f"{parsed:.0%} parsed" if parsed is not None else ""]
        label = f"Scores of iteration {each.number}: " + ", ".join(f"{b.score:g}: {b.count}" for b in scores.bars)
        drawing = histogram_chart(label, scores, low, high, top)
        figures.append(Figure(f"Iteration {each.number}", ", ".join(filter(None, words)), drawing))
    return tuple(figures)


_ROUND: Final[Sequence[tuple[str, str, Callable[[float | None], str]]]] = (
    ("prompts", "prompts", lambda value: _number(value)),
    ("candidates", "candidates", lambda value: _number(value)),
    ("candidates_truncated", "… cut off", lambda value: _number(value)),
    ("truncated_chosen", "… cut off and chosen", lambda value: _number(value)),
    ("truncated_rejected", "… cut off and rejected", lambda value: _number(value)),
    ("candidates_unscored", "… without a score", lambda value: _number(value)),
    ("judgements", "judgements", lambda value: _number(value)),
    ("parse_rate", "… that state a score", lambda value: _rate(value)),
    ("mean_score", "mean score", lambda value: _decimal(value)),
    ("top_score_share", "share of the top score", lambda value: _rate(value)),
    ("pairs", "preference pairs", lambda value: _number(value)),
    ("mean_margin", "… mean margin", lambda value: _decimal(value)),
    ("mean_chosen_chars", "… characters chosen", lambda value: _number(value)),
    ("mean_rejected_chars", "… characters rejected", lambda value: _number(value)),
    ("dpo_reward_margin", "DPO's reward margin", lambda value: _decimal(value)),
    ("dpo_reward_accuracy", "… reward accuracy", lambda value: _rate(value)),
    ("dpo_held_out_reward_margin", "… margin on held-out pairs", lambda value: _decimal(value)),
    ("dpo_held_out_reward_accuracy", "… accuracy on held-out pairs", lambda value: _rate(value)),
)


def iteration_table(report: RunReport) -> Table | None:
    """The numbers of each iteration, and why prompts gave no pair."""
    rounds = report.iterations
    if not rounds:
        return None
    rows = [(label, *(words(each.count(name)) for each in rounds)) for name, label, words in _ROUND]
    reasons = dict.fromkeys(reason for each in rounds for reason, count in each.dropped.items() if count)
    rows += [
        (f"no pair: {reason.replace('_', ' ')}", *(_number(each.dropped.get(reason)) for each in rounds))
        for reason in reasons
    ]
    shown = tuple(row for row in rows if any(cell != ABSENT for cell in row[1:]))
    return Table(("", *(f"iteration {each.number}" for each in rounds)), shown)


def lines_figure(
    title: str,
    note: str,
    categories: Sequence[str],
    series: Iterable[Series],
    words: Words,
    reference: float | None = None,
    floor: float | None = None,
) -> Figure | None:
    """A drawing of lines over `categories`; None when no series has a value."""
    known = [each for each in series if any(point is not None for point in each.points)]
    if not known:
        return None
    label = f"{title}. " + "; ".join(f"{each.name}: {_told(categories, each, words)}" for each in known)
    drawing = line_chart(label, categories, known, words, reference=reference, floor=floor)
    return Figure(title, note, drawing, tuple((swatch(each, place), each.name) for place, each in enumerate(known)))


def _told(categories: Sequence[str], series: Series, words: Words) -> str:
    points = zip(categories, series.points, strict=True)
    return ", ".join(f"{category} {words(point.value)}" for category, point in points if point is not None)


def _comparisons(report: RunReport) -> list[tuple[ModelReport, HeadToHead]]:
    return [(model, each) for model in report.models for each in model.head_to_heads]


def _measure(model: ModelReport, name: str) -> Estimate | None:
    return None if model.judge is None else model.judge.measures.get(name)


def _count(iteration: IterationReport | None, name: str) -> float | None:
    return None if iteration is None else iteration.count(name)


def _plain(value: float | None) -> Estimate | None:
    return None if value is None else Estimate(value)


def _shown(name: str, estimate: Estimate | None) -> str:
    return _precise(estimate) if name in _NO_SHARES else _percent_of(estimate)


def _precise(estimate: Estimate | None) -> str:
    if estimate is None:
        return ABSENT
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.2f} to {estimate.high:.2f}]"


def _change(before: TaskScore | None, now: TaskScore | None) -> str:
    return ABSENT if before is None or now is None else f"{now.estimate.value - before.estimate.value:+.3f}"


def _percent_of(estimate: Estimate | None) -> str:
    return ABSENT if estimate is None else percent(estimate)


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _rate(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.1%}"


def _decimal(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.2f}" if abs(value) >= 0.01 or value == 0 else f"{value:.1e}"


def _number(value: float | None) -> str:
    return ABSENT if value is None else f"{value:,.0f}"
