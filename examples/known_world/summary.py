"""The summary of several seeds: each variant beside the first one, with intervals over the seeds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, stdev
from typing import Protocol

from scipy import stats

from known_world.truth import ModelTruth


class Measured(Protocol):
    """What is read of a run's result."""

    @property
    def variant(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def models(self) -> list[ModelTruth]: ...
    @property
    def tokens(self) -> int: ...


def summary(results: Sequence[Measured]) -> str:
    """Markdown: a row a variant, over the seeds on which it ended with its last model: the true quality of that model
    and how much more than the first variant's on the same seed; the judge of each model, the last one beside the first
    variant's, and what it gained with each; tokens as a multiple of the first variant's."""
    whole = max((len(result.models) for result in results), default=0)
    ended = [result for result in results if len(result.models) == whole > 1]
    names = list(dict.fromkeys(result.variant for result in results))
    first = names[0] if names else "–"
    plain = {result.seed: result for result in ended if result.variant == first}
    accuracies = [f"judge right M{number}" for number in range(1, whole + 1)]
    steps = [f"judge M{number} − M{number - 1}" for number in range(2, whole + 1)]
    headings = ["run", "seeds", f"true quality M{whole}", f"… less {first}'s", *accuracies, f"… less {first}'s", *steps]
    headings += ["rises", "tokens"]
    lines = [_row(headings), _row(["---"] * len(headings))]
    for name in names:
        mine = [result for result in ended if result.variant == name]
        both = [(result, plain[result.seed]) for result in mine if result.seed in plain]
        costs = [one.tokens / other.tokens for one, other in both if other.tokens]
        rises = sum(all(step(result) > 0 for step in _steps(whole)) for result in mine)
        cells = [
            name,
            str(len(mine)),
            _interval([result.models[-1].quality for result in mine], 2),
            _interval([one.models[-1].quality - other.models[-1].quality for one, other in both], 2),
            *(_interval([_judge(result.models[number]) for result in mine], 3) for number in range(whole)),
            _interval([_judge(one.models[-1]) - _judge(other.models[-1]) for one, other in both], 3),
            *(_interval([step(result) for result in mine], 3) for step in _steps(whole)),
            f"{rises} of {len(mine)}",
            f"{fmean(costs):.2f}" if costs else "–",
        ]
        lines.append(_row(cells))
    return "\n".join(lines)


def _steps(whole: int) -> list[Callable[[Measured], float]]:
    """What the judge gained with each model after the first."""

    def gain(number: int) -> Callable[[Measured], float]:
        return lambda result: _judge(result.models[number]) - _judge(result.models[number - 1])

    return [gain(number) for number in range(1, whole)]


def _judge(model: ModelTruth) -> float:
    return 0.5 if model.judge is None else model.judge


def _interval(values: Sequence[float], digits: int) -> str:
    """The mean, and half the width of its 95% interval (Student's t)."""
    if not values:
        return "–"
    if len(values) < 2:
        return f"{values[0]:.{digits}f}"
    half = float(stats.t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return f"{fmean(values):.{digits}f} ± {half:.{digits}f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
