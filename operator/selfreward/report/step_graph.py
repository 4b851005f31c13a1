"""A picture of the graph of steps, as inline SVG: a band for each iteration, in it each step behind what it waits for.

States differ in colour, in the frame's dashes, and in words. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from selfreward.api import StepState
from selfreward.report.model import StepReport
from selfreward.report.svg import drawing, tag, text

_WIDE, _TALL = 164, 38
"""A step's box; a key of 23 letters fits."""
_ACROSS, _DOWN = 24, 12
"""Space between boxes, where lines run."""
_HEAD, _FOOT, _EDGE = 24, 16, 20
"""Of a band: room for its name above, for lines below, and left of it."""
_FIRST_BAND: Final = "The way to M1"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a step's box stands: its upper left corner, in the band that begins at `band`."""

    x: float
    y: float
    band: float

    @property
    def middle(self) -> float:
        return self.y + _TALL / 2


def step_graph(steps: Sequence[StepReport]) -> str:
    """The whole picture; nothing without steps. `steps` are in an order in which each comes after what it needs."""
    if not steps:
        return ""
    before = _nearest({step.key: step.after for step in steps})
    places: dict[str, _Place] = {}
    parts: list[str] = []
    y = 0.0
    for number, band in groupby(sorted(steps, key=lambda step: step.iteration), lambda step: step.iteration):
        parts.append(text(_band(number), _EDGE, y + 15, kind="band", anchor="start"))
        height = 0.0
        for key, (column, row) in _layout(list(band), before).items():
            top = _HEAD + row * (_TALL + _DOWN)
            places[key] = _Place(_EDGE + column * (_WIDE + _ACROSS), y + top, y)
            height = max(height, top + _TALL)
        y += height + _FOOT
    lines = [_line(places[other], places[step.key]) for step in steps for other in before[step.key]]
    boxes = [part for step in steps for part in _box(step, places[step.key])]
    width = max(place.x for place in places.values()) + _WIDE + _ACROSS
    label = "The steps, each behind those it waits for. " + "; ".join(_told(step, before[step.key]) for step in steps)
    return drawing(label, width, y, [*lines, *parts, *boxes])


def _band(number: int) -> str:
    return f"Iteration {number}" if number else _FIRST_BAND


def _nearest(after: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """What each step waits for, without what follows from the rest: import, where it waits for what import led to."""
    ancestors: dict[str, set[str]] = {}
    nearest = {}
    for key, needs in after.items():
        far = set().union(*(ancestors[each] for each in needs))
        ancestors[key] = far.union(needs)
        nearest[key] = [each for each in dict.fromkeys(needs) if each not in far]
    return nearest


def _layout(band: Sequence[StepReport], before: Mapping[str, Sequence[str]]) -> dict[str, tuple[int, int]]:
    """Column and row of each step of a band: one column behind the last it waits for, below what is there."""
    places: dict[str, tuple[int, int]] = {}
    for step in band:
        known = [places[each] for each in before[step.key] if each in places]
        column = max((column for column, _ in known), default=-1) + 1
        taken = {row for other, row in places.values() if other == column}
        wanted = min((row for other, row in known if other == column - 1), default=0)
        places[step.key] = (column, next(row for row in range(wanted, wanted + len(band)) if row not in taken))
    return places


def _box(step: StepReport, place: _Place) -> Iterator[str]:
    state = step.state.lower()
    kind = f"step {state}"
    yield tag("rect", kind=kind, x=place.x, y=place.y, width=_WIDE, height=_TALL, rx=6)
    yield text(step.key, place.x + 10, place.y + 16, kind="name", anchor="start")
    yield text(_state(step), place.x + 10, place.y + 30, kind=f"told {state}", anchor="start")


def _state(step: StepReport) -> str:
    sign = {StepState.SUCCEEDED: "✓ ", StepState.FAILED: "✗ ", StepState.RUNNING: "▸ "}.get(step.state, "")
    return f"{sign}{step.state.lower()}"


def _line(start: _Place, end: _Place) -> str:
    """From the right of a box to the left of another, between boxes and bands and through none."""
    # Lines that leave, lines that arrive and lines to a band's first steps run side by side, never in each other.
    x, y, way = start.x + _WIDE, end.middle, _ACROSS / 3
    path = f"M{x:g},{start.middle:g} "
    if start.band == end.band and end.x > x + _ACROSS:
        path += f"H{x + way:g} V{start.y + _TALL + _DOWN / 2:g} "
    elif start.band != end.band:
        path += f"H{x + way:g} V{end.band - (3 if end.x == _EDGE else _FOOT - 4):g} "
    path += f"H{end.x - way:g} V{y:g} H{end.x:g}"
    arrow = f"M{end.x - 5:g},{y - 3.5:g} L{end.x:g},{y:g} L{end.x - 5:g},{y + 3.5:g}"
    return tag("path", kind="edge", d=f"{path} {arrow}")


def _told(step: StepReport, before: Sequence[str]) -> str:
    waits = f" after {', '.join(before)}" if before else ""
    return f"{step.key}{waits}: {step.state.lower()}"
