"""The picture of a finished run in the known world: what the truth says of its models.

    PYTHONPATH=examples python -m known_world.picture RUNS/artifacts/namespace=default/known-world >picture.svg

Every number and word of it is read from what the run committed. It is one SVG that follows the reader's light or dark.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import fmean, stdev
from typing import Final

from selfreward.report.svg import tag, text

from known_world.truth import answers, models_truth

_WIDTH, _HEIGHT = 880, 262
_PANEL, _TALK = 206, 380
_GAP = 22
_GROUND, _TOP = 212, 62
_STYLE: Final = """
svg { --paper: #ffffff; --ink: #1c1e21; --soft: #585e66; --bar: #175fa8 }
@media (prefers-color-scheme: dark) { svg { --paper: #15171a; --ink: #e6e6e1; --soft: #a3a8af; --bar: #7db4ee } }
.paper { fill: var(--paper) } .bar { fill: var(--bar) }
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; fill: var(--soft) }
.title, .value { font-size: 14px; font-weight: 600; fill: var(--ink) }
.said { font: 11px ui-monospace, "DejaVu Sans Mono", "Liberation Mono", monospace; fill: var(--ink) }
.base { stroke: var(--soft) } .level { stroke: var(--soft); stroke-dasharray: 4 3 } .whisker { stroke: var(--ink) }
"""


@dataclass(frozen=True)
class Told:
    """One model, as the truth has it."""

    model: str
    quality: float
    """Mean true quality of its answers to held-out prompts, 0 to 5."""
    half: float
    """Half the width of that mean's 95% interval, over the answers."""
    judge: float
    """Share of pairs of ranked answers that it judges as the truth does."""
    longest: float
    """The same for "the longer answer wins"."""
    prompt: str
    """The first of the held-out prompts."""
    answer: str
    answer_quality: float


def told(artifacts: Path) -> list[Told]:
    """M1 and every model after it; `artifacts` is the run's folder in the store. Raises OSError where one lacks."""
    models = []
    for model in models_truth(artifacts):
        answered = answers(artifacts / "evaluation" / model.model)
        prompt, answer, quality = answered[0]
        models.append(
            Told(
                model=model.model.upper(),
                quality=model.quality,
                half=1.96 * stdev(each for _, _, each in answered) / len(answered) ** 0.5,
                judge=model.judge or 0.0,
                longest=model.longest or 0.0,
                prompt=prompt,
                answer=answer,
                answer_quality=quality,
            )
        )
    return models


def picture(models: Sequence[Told]) -> str:
    """The SVG. Pure."""
    places = (_GAP, 2 * _GAP + _PANEL, 3 * _GAP + 2 * _PANEL)
    panels = zip(places, (_answers(models), _judges(models), _talk(models)), strict=True)
    parts = [tag("title", escape("; ".join(map(_sentence, models)))), tag("style", _STYLE)]
    parts.append(tag("rect", kind="paper", width=_WIDTH, height=_HEIGHT, rx=8))
    parts += [tag("g", "".join(panel), transform=f"translate({x} 0)") for x, panel in panels]
    box = f"0 0 {_WIDTH} {_HEIGHT}"
    attributes: dict[str, str | float] = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": box, "role": "img"}
    return tag("svg", "".join(parts), **attributes, width=_WIDTH, height=_HEIGHT)


def _sentence(model: Told) -> str:
    return f"{model.model}: true quality {model.quality:.2f} of 5, judges {model.judge:.0%} of pairs right"


def _answers(models: Sequence[Told]) -> Iterator[str]:
    yield from _head("How good its answers are", "truly, 0 to 5; with 95% interval")
    height = _scale(5)
    for x, width, model in _bars(models):
        yield _bar(x, width, height(model.quality))
        low, high = (_GROUND - height(model.quality + side * model.half) for side in (-1, 1))
        yield tag("line", kind="whisker", x1=x + width / 2, x2=x + width / 2, y1=low, y2=high)
        yield text(f"{model.quality:.2f}", x + width / 2, high - 7, kind="value")
    yield from _ground(models)


def _judges(models: Sequence[Told]) -> Iterator[str]:
    yield from _head("How often it judges right", "of two ranked answers")
    height = _scale(1)
    for x, width, model in _bars(models):
        yield _bar(x, width, height(model.judge))
        yield text(f"{model.judge:.0%}", x + width / 2, _GROUND - height(model.judge) - 7, kind="value")
    yield from _ground(models)
    level = fmean(model.longest for model in models)
    yield tag("line", kind="level", x1=0, x2=_PANEL, y1=_GROUND - height(level), y2=_GROUND - height(level))
    yield text(f"dashed: the longer one, {level:.0%}", _PANEL / 2, _GROUND + 38)


def _talk(models: Sequence[Told]) -> Iterator[str]:
    yield from _head("What it says", "to the first of the prompts, and how good that is")
    yield text(models[0].prompt, 0, _TOP + 16, kind="said", anchor="start")
    for place, model in enumerate(models):
        y = _TOP + 48 + 38 * place
        yield text(model.model, 0, y, anchor="start")
        yield text(f"{model.answer_quality:.2f}", _TALK, y, anchor="end")
        yield text(model.answer, 0, y + 16, kind="said", anchor="start")


def _head(title: str, note: str) -> Iterator[str]:
    yield text(title, 0, 28, kind="title", anchor="start")
    yield text(note, 0, 46, anchor="start")


def _ground(models: Sequence[Told]) -> Iterator[str]:
    yield tag("line", kind="base", x1=0, x2=_PANEL, y1=_GROUND, y2=_GROUND)
    for x, width, model in _bars(models):
        yield text(model.model, x + width / 2, _GROUND + 18)


def _bars(models: Sequence[Told]) -> Iterator[tuple[float, float, Told]]:
    """Left edge and width of each model's place."""
    place = _PANEL / len(models)
    for index, model in enumerate(models):
        yield (index + 0.14) * place, 0.72 * place, model


def _bar(x: float, width: float, height: float) -> str:
    return tag("rect", kind="bar", x=x, y=_GROUND - height, width=width, height=height)


def _scale(most: float) -> Callable[[float], float]:
    return lambda value: (_GROUND - _TOP - 14) * value / most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", type=Path, help="folder of the run in the store")
    print(picture(told(parser.parse_args().artifacts)))


if __name__ == "__main__":
    main()
