"""The tables of what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def table(found: Mapping[str, Any]) -> str:
    """Markdown: each model as a judge and as another judge sees it, that judge, and the seconds of both ways."""
    lines: list[str] = []
    if "run" in found:
        lines += _models(found["run"]["models"], found.get("reward"))
    if "reward" in found:
        lines += _other_judge(found["reward"])
    if "modes" in found:
        lines += _modes(found["modes"])
    return "\n".join(lines) + "\n"


def _models(models: Mapping[str, Any], reward: Mapping[str, Any] | None) -> Iterator[str]:
    against = {} if reward is None else reward["against_m1"]
    judges = {name: model["judge"] for name, model in models.items()}
    pairs = next(iter(judges.values()))["pairwise_accuracy"]["count"]
    yield _row([f"{pairs:.0f} pairs of ranked answers", *(name.upper() for name in models)])
    yield _row(["---"] * (len(models) + 1))
    for words, number in (
        ("judge right", "pairwise_accuracy"),
        ("longest wins, same pairs", "pairwise_accuracy_longest_wins"),
        ("judge right, length-balanced", "pairwise_accuracy_length_balanced"),
        ("judgements with a score", "parse_rate_interval"),
        ("position bias", "position_bias"),
        ("drift from the judge before", "drift"),
    ):
        if any(number in judge for judge in judges.values()):
            yield _row([words, *(_rate(judge.get(number)) for judge in judges.values())])
    yield _row(["characters an answer", *(f"{model['mean_chars']:.0f}" for model in models.values())])
    for words, number in (("the reward model prefers it to M1's", "win"), ("… has no preference", "tie")):
        if against:
            yield _row([words, *(_rate(against.get(name, {}).get(number)) for name in models)])
    if against:
        yield _row(["… p of the sign test", *(_number(against.get(name, {}).get("p_value"), 3) for name in models)])
        yield _row(["it is longer than M1's", *(_number(against.get(name, {}).get("longer"), 3) for name in models)])
    yield ""


def _other_judge(reward: Mapping[str, Any]) -> Iterator[str]:
    right = {name.removeprefix("pairwise_accuracy"): rate for name, rate in reward["judge"].items()}
    yield (
        f"The reward model, of {reward['pairs']} pairs: right in {_rate(right[''])} of the held-out ones, "
        f"{_rate(right['_length_balanced'])} length-balanced; the longest wins in {_rate(right['_longest_wins'])}."
    )
    yield ""


def _modes(told: Mapping[str, Any]) -> Iterator[str]:
    yield _row(
        [
            f"step `judge`, {told['counted']} prompts",
            "seconds",
            "of them asking",
            "requests",
            "tokens",
            "scores",
            "prompt tokens computed",
        ]
    )
    yield _row(["---"] * 7)
    for name, mode in told["modes"].items():
        cells = [f"{mode['seconds']:.1f}", f"{mode['asking']:.1f}", f"{mode['requests']:.0f}", f"{mode['tokens']:.0f}"]
        computed = 1 - mode["cached_tokens"] / mode["prompt_tokens"]
        yield _row([name, *cells, f"{mode['with_a_score']:.0%}", f"{computed:.0%} of {mode['prompt_tokens']:.0f}"])
    cot, pairwise = told["modes"]["cot"], told["modes"]["pairwise"]
    ratios = ", ".join(f"{each['seconds'] / other['seconds']:.2f}" for each, other in zip(*_parts(told), strict=True))
    yield ""
    yield (
        f"`pairwise` takes {pairwise['seconds'] / cot['seconds']:.2f} times as long as `cot` (by part: {ratios}), "
        f"{pairwise['asking'] / cot['asking']:.2f} times without the processes' start."
    )
    yield ""


def _parts(told: Mapping[str, Any]) -> tuple[Any, Any]:
    return told["modes"]["pairwise"]["parts"], told["modes"]["cot"]["parts"]


def _rate(rate: Mapping[str, Any] | None) -> str:
    """A share with its 95% interval."""
    if rate is None or rate["value"] is None:
        return "–"
    interval = "" if rate["low"] is None else f" ({rate['low']:.3f} to {rate['high']:.3f})"
    return f"{rate['value']:.3f}{interval}"


def _number(number: float | None, digits: int) -> str:
    return "–" if number is None else f"{number:.{digits}f}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
