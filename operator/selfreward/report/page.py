"""The report as one HTML file: no network, no font, no script but its own.

Three things keep a model's text from doing anything: the template escapes, the browser's script writes text nodes
only, and the page's own policy lets no script run but the one whose hash it names, and nothing be fetched at all.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import groupby
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from selfreward.report import comparison, figures, glossary
from selfreward.report.curves import training_figures
from selfreward.report.figures import ABSENT, Figure, Table
from selfreward.report.model import GateReport, ModelReport, RunReport, StepReport
from selfreward.report.step_graph import step_graph
from selfreward.report.texts.payload import Payload, payload
from selfreward.report.verdict import percent, verdict
from selfreward.report.words import duration, number

_TEMPLATES: Final = PackageLoader("selfreward.report")
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the few numbers that stand at the head."""

    label: str
    value: str
    note: str


def render_report(report: RunReport, now: datetime) -> bytes:
    """The whole file, in UTF-8. `now` is when it says it was written."""
    texts = payload(report.excerpt)
    return render(
        "report.html",
        ("terms.js", "kinds.js", "texts.js"),
        title=report.name,
        report=report,
        verdict=verdict(report),
        tiles=_tiles(report),
        judge=_both(figures.judge_figure(report), figures.judge_table(report)),
        wins=_both(figures.wins_figure(report), figures.wins_table(report)),
        lengths=figures.length_figure(report),
        tasks=figures.tasks_table(report),
        scores=figures.score_figures(report),
        rounds=figures.iteration_table(report),
        gates=_by_iteration(report.gates),
        curves=training_figures(report),
        graph=step_graph(report.steps),
        costs=_costs(report),
        texts=texts,
        carried=_carried(texts),
        written=f"{now:%Y-%m-%d %H:%M %Z}",
    )


def render_comparison(reports: Sequence[RunReport], now: datetime) -> bytes:
    """The page that compares several runs, in UTF-8."""
    return render(
        "compare.html",
        ("terms.js",),
        names=[report.name for report in reports],
        figure=comparison.figure(reports),
        models=comparison.model_table(reports),
        differences=comparison.differences(reports),
        written=f"{now:%Y-%m-%d %H:%M %Z}",
    )


def render(template: str, scripts: Sequence[str], **values: object) -> bytes:
    """A page of this package's templates, with its scripts as one and the policy that lets only that one run."""
    environment = Environment(
        loader=_TEMPLATES, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        duration=_duration, count=_count, percent=percent, markup=lambda text: Markup(text), digest=_short, term=_term
    )
    code = "\n".join(_source(environment, script) for script in scripts)
    allowed = f"'sha256-{base64.b64encode(sha256(code.encode()).digest()).decode()}'"
    page = environment.get_template(template).render(
        **values,
        script=Markup(code),
        terms=glossary.terms(),
        style=Markup(_source(environment, "page.css")),
        policy=f"{_POLICY}; script-src {allowed}",
    )
    # A model can write half of a surrogate pair, which no encoding has a place for.
    return page.encode("utf-8", errors="replace")


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _both(figure: Figure | None, table: Table | None) -> tuple[Figure, Table] | None:
    return None if figure is None or table is None else (figure, table)


def _tiles(report: RunReport) -> tuple[Tile, ...]:
    tiles: list[Tile] = []
    evaluated = [model for model in report.models if model.judge is not None or model.head_to_heads]
    if evaluated:
        tiles += _model_tiles(evaluated[-1])
    if report.iterations:
        pairs = [each.count("pairs") or 0 for each in report.iterations]
        note = " + ".join(_count(each) for each in pairs) if len(pairs) > 1 else "in one iteration"
        tiles.append(Tile("preference pairs", _count(sum(pairs)), note))
    gpu = sum(step.gpu_seconds or 0 for step in report.steps)
    tokens = sum(step.tokens or 0 for step in report.steps)
    if any(step.seconds is not None for step in report.steps):
        written = f"{_count(tokens)} tokens written"
        tiles.append(
            Tile("GPU-seconds", _count(gpu), written) if gpu else Tile("GPU-seconds", "0", f"no GPU; {written}")
        )
    return tuple(tiles)


def _model_tiles(model: ModelReport) -> Iterable[Tile]:
    judge, first = model.judge, model.against("M1")
    if judge is not None and judge.accuracy is not None:
        longest = f"longest answer wins: {judge.longest_wins.value:.0%}" if judge.longest_wins is not None else ""
        yield Tile(f"{model.name} agrees with people", percent(judge.accuracy), longest)
    if first is not None and first.win is not None and first.loss is not None:
        yield Tile(f"{model.name} wins against M1", percent(first.win), f"loses {first.loss.value:.0%}")


@dataclass(frozen=True, slots=True)
class Cost:
    """A step's row in the table of costs; `share` is its part of all GPU-seconds."""

    step: StepReport
    share: float


def _costs(report: RunReport) -> tuple[Cost, ...]:
    whole = sum(step.gpu_seconds or 0 for step in report.steps)
    return tuple(Cost(step, (step.gpu_seconds or 0) / whole if whole else 0.0) for step in report.steps)


_UNITS: Final = {"candidates": "prompts", "comparisons": "comparisons", "rankings": "ranked prompts"}


def _carried(texts: Payload) -> str:
    """How much of the run's texts the page holds, in words."""
    told = []
    for kind in texts.kinds:
        count = f"All {kind.available:,}" if kind.shown == kind.available else f"{kind.shown:,} of {kind.available:,}"
        more = f" with {texts.candidates:,} candidates" if kind.name == "candidates" else ""
        told.append(f"{count} {_UNITS[kind.name]}{more}.")
    if any(kind.shown < kind.available for kind in texts.kinds):
        told.append("An even sample, so that the page opens quickly: all lie in the artifacts.")
    return " ".join(told)


def _by_iteration(gates: Iterable[GateReport]) -> list[tuple[int, list[GateReport]]]:
    found = sorted(gates, key=lambda gate: gate.iteration)
    return [(number, list(each)) for number, each in groupby(found, key=lambda gate: gate.iteration)]


def _term(label: str) -> Markup:
    """A label of the page; one that the glossary explains can be pointed at, reached and touched."""
    if (found := glossary.term(label)) is None:
        return escape(label)
    return Markup('<button type="button" class="term" data-means="{}" aria-describedby="{}">{}</button>').format(
        found.meaning, found.id, label
    )


def _duration(seconds: float | None) -> str:
    return ABSENT if seconds is None else duration(timedelta(seconds=seconds))


def _count(value: float | None) -> str:
    return ABSENT if value is None else number(round(value) if abs(value) >= 10 else round(value, 1))


def _short(digest: str) -> str:
    """The first twelve digits of a digest, as one tells two apart."""
    return digest.removeprefix("sha256:")[:12]
