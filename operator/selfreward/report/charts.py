"""Line charts over models or iterations, with intervals, as inline SVG. Pure.

Drawn at the size at which they are read on a telephone, so that text is never scaled down; a wide page sets several
side by side. Colours are the page's (CSS classes `s0`, `s1`, …), so one drawing serves light and dark, and series
differ in their marks too, for readers who do not see the colours apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from selfreward.report.model import Estimate
from selfreward.report.svg import drawing, tag, text

WIDTH, HEIGHT = 360, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 26
_MARK = 4.0

Words = Callable[[float], str]
"""How a value is written at the axis."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line: a value, or a gap, for every category."""

    name: str
    points: tuple[Estimate | None, ...]
    is_baseline: bool = False
    """Drawn dashed: what the others are to be compared with."""

    def kind(self, index: int) -> str:
        """The CSS classes of the parts of the series at this place."""
        return f"s{index % 8}{' baseline' if self.is_baseline else ''}"


@dataclass(frozen=True, slots=True)
class _Scale:
    """The scale of a chart, from values to pixels."""

    low: float
    high: float
    count: int

    def x(self, place: int) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (place + 0.5) / self.count

    def y(self, value: float) -> float:
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (self.high - value) / (self.high - self.low)


def line_chart(
    label: str,
    categories: Sequence[str],
    series: Sequence[Series],
    words: Words,
    *,
    reference: float | None = None,
    floor: float | None = None,
) -> str:
    """Lines with whiskers over `categories`; nothing when there is no value.

    `reference` is a value worth a thin line of its own (chance); `floor` is to be on the axis (a length's zero).
    """
    values = [value for each in series for point in each.points if point is not None for value in _extent(point)]
    if not values:
        return ""
    values += [value for value in (reference, floor) if value is not None]
    ticks = round_ticks(min(values), max(values))
    scale = _Scale(ticks[0], ticks[-1], len(categories))
    parts = [*_axes(scale, ticks, categories, words)]
    if reference is not None:
        parts.append(_across(scale.y(reference), "reference"))
    for index, each in enumerate(series):
        parts += _line(each, index, len(series), scale)
    return drawing(label, WIDTH, HEIGHT, parts)


def swatch(series: Series, index: int) -> str:
    """A small drawing of a series for the legend."""
    kind = series.kind(index)
    line = tag("line", kind=f"line {kind}", x1=0, x2=24, y1=7, y2=7)
    return tag("svg", line + _mark(12, 7, index, kind), width=24, height=14, aria_hidden="true")


def round_ticks(low: float, high: float) -> list[float]:
    """Four to seven round numbers from `low` or below to `high` or above."""
    if high - low < 1e-9:
        margin = abs(low or 1) * 0.1
        low, high = low - margin, high + margin
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _axes(scale: _Scale, ticks: Sequence[float], categories: Sequence[str], words: Words) -> Iterator[str]:
    for tick in ticks:
        yield _across(scale.y(tick), "grid")
        yield text(words(tick), _LEFT - 6, scale.y(tick) + 4, anchor="end")
    for place, category in enumerate(categories):
        yield text(category, scale.x(place), HEIGHT - 6)


def _across(y: float, kind: str) -> str:
    return tag("line", kind=kind, x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y)


def _line(series: Series, index: int, of: int, scale: _Scale) -> Iterator[str]:
    # Side by side by a few pixels, so that the whiskers of one model do not lie on each other.
    shift = (index - (of - 1) / 2) * 5
    kind = series.kind(index)
    for stretch in _unbroken(series.points):
        places = [(scale.x(place) + shift, scale.y(point.value)) for place, point in stretch]
        yield tag("polyline", kind=f"line {kind}", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places))
        for (x, y), (_, point) in zip(places, stretch, strict=True):
            if point.low is not None and point.high is not None:
                yield tag("line", kind=f"whisker {kind}", x1=x, x2=x, y1=scale.y(point.low), y2=scale.y(point.high))
            yield _mark(x, y, index, kind)


def _unbroken(points: Sequence[Estimate | None]) -> list[list[tuple[int, Estimate]]]:
    """The stretches without a gap, each point with its place."""
    stretches: list[list[tuple[int, Estimate]]] = [[]]
    for place, point in enumerate(points):
        if point is not None:
            stretches[-1].append((place, point))
        elif stretches[-1]:
            stretches.append([])
    return [stretch for stretch in stretches if stretch]


def _mark(x: float, y: float, index: int, kind: str) -> str:
    """A disc, a square, a diamond, a triangle: in turn."""
    r = _MARK
    kind = f"mark {kind}"
    corners: tuple[tuple[float, float], ...]
    match index % 4:
        case 0:
            return tag("circle", kind=kind, cx=x, cy=y, r=r)
        case 1:
            return tag("rect", kind=kind, x=x - r + 0.5, y=y - r + 0.5, width=2 * r - 1, height=2 * r - 1)
        case 2:
            corners = ((0, -r - 1), (r + 1, 0), (0, r + 1), (-r - 1, 0))
        case _:
            corners = ((0, -r - 1), (r + 1, r), (-r - 1, r), (0, -r - 1))
    return tag("polygon", kind=kind, points=" ".join(f"{x + right:.1f},{y + down:.1f}" for right, down in corners))


def _extent(point: Estimate) -> Iterator[float]:
    yield point.value
    if point.low is not None and point.high is not None:
        yield point.low
        yield point.high
