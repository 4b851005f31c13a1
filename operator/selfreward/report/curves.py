"""How each training went: its loss, and for DPO the reward margin, over its optimiser steps. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from selfreward.report.charts import Series
from selfreward.report.figures import Figure, lines_figure
from selfreward.report.model import Estimate, ModelReport, RunReport

POINTS: Final = 24
"""Points a curve has at most: each is then the mean over as many steps as it takes."""
_MEASURES: Final = {
    "loss": "As the training logged it",
    "reward_margin": "As the training logged it, with its dropout; the exported model's is in the table of iterations",
}


def training_figures(report: RunReport) -> tuple[Figure, ...]:
    """One drawing for every trained model and measure."""
    return tuple(figure for model in report.models for figure in _figures(model))


def _figures(model: ModelReport) -> Iterator[Figure]:
    for name, note in _MEASURES.items():
        known = [point for point in model.training if name in point]
        if not known:
            continue
        groups = _groups(known)
        series = Series(name.replace("_", " "), tuple(Estimate(_mean(group, name)) for group in groups))
        marked = [_steps(group) if place in (0, len(groups) - 1) else "" for place, group in enumerate(groups)]
        over = "" if len(known) == len(groups) else f", means over up to {len(groups[0])} steps"
        figure = lines_figure(
            f"{model.name}: {series.name}", f"{note}{over}.", marked, [series], lambda value: f"{value:.3g}"
        )
        if figure is not None:
            yield figure


def _groups(points: Sequence[Mapping[str, float]]) -> list[Sequence[Mapping[str, float]]]:
    """Neighbouring steps together, at most :data:`POINTS` groups of one size, the last perhaps smaller."""
    size = -(-len(points) // POINTS)
    return [points[start : start + size] for start in range(0, len(points), size)]


def _mean(group: Sequence[Mapping[str, float]], name: str) -> float:
    return sum(point[name] for point in group) / len(group)


def _steps(group: Sequence[Mapping[str, float]]) -> str:
    first, last = group[0]["step"], group[-1]["step"]
    return f"step {first:g}" if first == last else f"{first:g}–{last:g}"
