"""Shares of a whole and histograms as inline SVG, in the manner of :mod:`selfreward.report.charts`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from selfreward.report.model import Bar, Estimate, Histogram
from selfreward.report.svg import drawing, tag, text

_WIDTH, _ROW, _LEFT, _RIGHT = 360, 36, 64, 4
_LETTER = 6.2
"""Width of a letter of a name, on average."""
_SMALL, _TALL, _EDGE = 170, 96, 8
_FOOT, _HEAD = 18, 14


def share_bars(label: str, names: Sequence[str], shares: Sequence[Sequence[Estimate]]) -> str:
    """For every name one bar of the whole, cut into its shares, with the interval of the first of them; each row of
    `shares` sums to about 1."""
    left = max(_LEFT, 8 + _LETTER * max(map(len, names)))
    parts: list[str] = []
    for place, (name, cut) in enumerate(zip(names, shares, strict=True)):
        y = 6 + place * _ROW
        parts.append(text(name, left - 8, y + 15, anchor="end"))
        parts += _cut([share.value for share in cut], left, y)
        if cut[0].low is not None and cut[0].high is not None:
            ends = {"x1": _x(cut[0].low, left), "x2": _x(cut[0].high, left)}
            parts.append(tag("line", kind="interval", y1=y + 25.0, y2=y + 25.0, **ends))
    return drawing(label, _WIDTH, 6 + _ROW * len(names), parts)


def _x(share: float, left: float) -> float:
    return left + (_WIDTH - left - _RIGHT) * share


def _cut(shares: Sequence[float], left: float, y: float) -> Iterator[str]:
    x = left
    for index, share in enumerate(shares):
        width = _x(share, left) - left
        yield tag("rect", kind=f"fill w{index}", x=x, y=y, width=width, height=22)
        if width >= 32:
            yield text(f"{share:.0%}", x + width / 2, y + 15, kind=f"inside w{index}")
        x += width


def histogram_chart(label: str, histogram: Histogram, low: float, high: float, top: float) -> str:
    """Share of every score between `low` and `high`; `top` is the largest share of all histograms that stand side by
    side, so that one iteration can be read against another."""
    bar = histogram.width or _gap([each.score for each in histogram.bars])
    scale = (_SMALL - 2 * _EDGE) / (high - low + bar)
    ground = _TALL - _FOOT
    parts = [tag("line", kind="base", x1=_EDGE, x2=_SMALL - _EDGE, y1=ground, y2=ground)]
    highest = max(histogram.bars, key=lambda each: each.count)
    for each in histogram.bars:
        share = each.count / histogram.total
        tall = (ground - _HEAD) * share / top
        x, width = _EDGE + (each.score - low) * scale, bar * scale
        title = tag("title", f"{each.score:g}: {each.count:,} ({share:.1%})")
        parts.append(
            tag("rect", title, kind="fill s0", x=x + 1, y=ground - tall, width=max(1.0, width - 2), height=tall)
        )
        if each is highest:
            parts.append(text(f"{share:.0%}", x + width / 2, ground - tall - 4))
    parts += [text(f"{value:g}", _EDGE + (value - low + bar / 2) * scale, _TALL - 4) for value in _ends(low, high)]
    return drawing(label, _SMALL, _TALL, parts)


def score_span(histograms: Sequence[Histogram]) -> tuple[float, float, float]:
    """Lowest score, highest score and largest share of all of them."""
    bars: list[Bar] = [bar for each in histograms for bar in each.bars]
    shares = [bar.count / each.total for each in histograms for bar in each.bars]
    return min(bar.score for bar in bars), max(bar.score for bar in bars), max(shares)


def _ends(low: float, high: float) -> tuple[float, ...]:
    return (low, high) if high > low else (low,)


def _gap(scores: Sequence[float]) -> float:
    """Width of a bar when each score has its own: the smallest distance of two, but no hair."""
    distances = [later - earlier for earlier, later in pairwise(scores)]
    return max(min(distances, default=1.0), (max(scores) - min(scores)) / 60)
