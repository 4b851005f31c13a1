"""What is printed of a plan: a table for people, a document for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

from rich import box
from rich.table import Table

from selfreward.api import Keeping, SelfRewardRunSpec
from selfreward.cli.displays.terminal import Terminal, echo
from selfreward.estimate import Assumptions, Hardware, ModelShape, RunEstimate, StepEstimate
from selfreward.estimate.assumptions import Range
from selfreward.report.words import duration

_HOUR: Final = 3600
_MIB: Final = 1 << 20
_KEPT: Final = {
    Keeping.ASLEEP: "one engine for all models, asleep while training",
    Keeping.AWAKE: "one engine for all models, beside training",
    Keeping.NEVER: "a server for each model, started anew",
}
_TOTALS: Final = ("calls", "prompt_tokens", "answer_tokens", "trained_tokens", "seconds", "gpu_seconds", "disk_bytes")


def document(
    run: str, gpu: str, shape: ModelShape, hardware: Hardware, assumed: Assumptions, found: RunEstimate
) -> dict[str, Any]:
    """The plan as JSON has it: ranges as `low` and `high`, times in seconds, memory and disk in bytes."""
    return {
        "run": run,
        "hardware": {"gpu": gpu, "gpus": hardware.gpus, "gpuBytes": hardware.gpu.memory},
        "model": {"parameters": shape.parameters},
        "assumed": {
            "lengths": _bounds(assumed.lengths),
            "promptTokens": assumed.prompt_tokens,
            "instructions": assumed.seeds.instructions,
            "rankings": assumed.seeds.rankings,
        },
        "total": {_camel(name): _bounds(_total(found, name)) for name in _TOTALS}
        | {"gpuHours": _bounds(_hours(found.total("gpu_seconds")))},
        "steps": [_row(step) for step in found.steps],
        "warnings": list(found.warnings),
        "refusals": list(found.refusals),
    }


def _total(found: RunEstimate, name: str) -> Range:
    total = found.total(name)
    return Range(round(total.low, 1), round(total.high, 1))


def _row(step: StepEstimate) -> dict[str, Any]:
    row: dict[str, Any] = {"step": step.key}
    for name, value in asdict(step).items():
        if name != "key":
            row[_camel(name)] = _bounds(Range(**value)) if isinstance(value, dict) else round(value)
    row["gpuHours"] = _bounds(_hours(step.gpu_seconds))
    return row


def _bounds(value: Range) -> dict[str, float]:
    return {"low": round(value.low, 4), "high": round(value.high, 4)}


def _hours(seconds: Range) -> Range:
    return Range(seconds.low / _HOUR, seconds.high / _HOUR)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def show(
    run: str,
    gpu: str,
    spec: SelfRewardRunSpec,
    shape: ModelShape,
    hardware: Hardware,
    assumed: Assumptions,
    found: RunEstimate,
) -> None:
    """Print the table, and what stands behind it."""
    many = f"{hardware.gpus} × {gpu}"
    echo(f"{run}: {shape.parameters / 1e9:.2f} billion parameters on {many}; {_KEPT[hardware.keeping]}")
    terminal = Terminal(piped_width=150)
    terminal.print(_table(found))
    for line in _notes(spec, assumed, found):
        echo(line)


def _table(found: RunEstimate) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=True)
    hours = _hours(found.total("gpu_seconds"))
    columns: list[tuple[str, str]] = [
        ("requests", _span(found.total("calls"), _count)),
        ("tokens in", _span(found.total("prompt_tokens"), _count)),
        ("out", _span(found.total("answer_tokens"), _count)),
        ("trained", _span(found.total("trained_tokens"), _count)),
        ("time", _span(found.total("seconds"), _time)),
        ("GPU-hours", _span(hours, _decimal)),
        ("GPU mem", _most(found, "gpu_bytes")),
        ("host mem", _most(found, "host_bytes")),
        ("stored", _span(found.total("disk_bytes"), _size)),
        ("scratch", _most(found, "scratch_bytes")),
    ]
    table.add_column("step", footer="all", no_wrap=True)
    for heading, footer in columns:
        table.add_column(heading, justify="right", footer=footer, no_wrap=True)
    for step in found.steps:
        table.add_row(step.key, *_cells(step))
    return table


def _cells(step: StepEstimate) -> Iterator[str]:
    for value in (step.calls, step.prompt_tokens, step.answer_tokens, step.trained_tokens):
        yield _span(value, _count)
    yield _span(step.seconds, _time)
    yield _span(_hours(step.gpu_seconds), _decimal) if step.gpus else ""
    yield (f"{step.gpus} × " if step.gpus > 1 else "") + _size(step.gpu_bytes)
    yield _size(step.host_bytes)
    yield _span(step.disk_bytes, _size)
    yield _size(step.scratch_bytes)


def _notes(spec: SelfRewardRunSpec, assumed: Assumptions, found: RunEstimate) -> Iterator[str]:
    low, high = assumed.lengths.low, assumed.lengths.high
    seeds = assumed.seeds
    rows = f", {seeds.instructions:,} instructions, {seeds.rankings:,} ranked prompts"
    yield (
        f"Assumed: answers of {low:.0%} to {high:.0%} of maxTokens (--lengths), prompts of {assumed.prompt_tokens} "
        f"tokens{rows if spec.seed_data.instructions is not None else ''}, a pair from {assumed.paired.low:.0%} to "
        f"{assumed.paired.high:.0%} of the prompts."
    )
    yield (
        "Times are fitted to runs of 0.13 and 1.8 billion parameters on an H200; those of other GPUs, of larger models "
        "and of several GPUs follow from data sheets and were not checked (docs/performance.md)."
    )
    if spec.evaluation.enabled and spec.evaluation.lm_eval is not None:
        yield "Not counted: the tasks of evaluation.lmEval."
    for line in found.warnings:
        yield f"May not fit: {line}"


def _span(value: Range, words: Callable[[float], str]) -> str:
    """Both ends, or one where they read alike; a unit that they share once."""
    low, high = words(value.low), words(value.high)
    if low in (high, ""):
        return high
    unit = high[-1] if high[-1].isalpha() else ""
    return f"{low.removesuffix(unit) if low[-1] == unit else low}–{high}"


def _most(found: RunEstimate, name: str) -> str:
    return _size(max(getattr(step, name) for step in found.steps))


def _count(value: float) -> str:
    """A number with its unit: `812`, `14k`, `3.6M`."""
    return _short(value, ("", "k", "M", "G"), 1000)


def _size(value: float) -> str:
    """Bytes: `80M`, `5.2G`; what is less than a MiB is nothing beside the rest."""
    return _short(value / _MIB, ("M", "G", "T"), 1024) if value >= _MIB else ""


def _short(value: float, units: Sequence[str], step: int) -> str:
    if value < 1:
        return ""
    place = 0
    while value >= step and place + 1 < len(units):
        value, place = value / step, place + 1
    return f"{value:.1f}{units[place]}" if value < 10 and place else f"{value:.0f}{units[place]}"


def _time(value: float) -> str:
    return duration(timedelta(seconds=value))


def _decimal(value: float) -> str:
    return f"{value:.2f}"
