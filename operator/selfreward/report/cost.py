"""The cost of each step: seconds, and GPU-seconds, with a server's shared out among the steps that used it. Pure.

Judging runs beside responding, and an evaluation beside the next iteration's generation, on one server. Each moment
of a server is therefore shared evenly by the steps that talk to it then: the sum over steps is the time its GPUs were
in use, not twice that. Status keeps the attempt that counts, so time lost to earlier attempts, and a server's start
before its first step, are not in these numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from selfreward.api import SelfRewardRunSpec, StepState, StepStatus
from selfreward.plan import Graph
from selfreward.render.gpus import gpus_of_server, gpus_of_step


@dataclass(frozen=True, slots=True)
class Span:
    """The time in which a step's attempt ran; `end` is now for one that still runs."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        return max(0.0, (self.end - self.start).total_seconds())


def span(row: StepStatus, now: datetime) -> Span | None:
    """The span of the attempt that counts; None before it has started."""
    if row.started_at is None or row.state is StepState.WAITING:
        return None
    return Span(row.running_at or row.started_at, row.finished_at or now)


def gpu_seconds(spec: SelfRewardRunSpec, graph: Graph, spans: Mapping[str, Span]) -> dict[str, float]:
    """By step key, for the steps that have a span."""
    used = {key: 0.0 for key in spans}
    served: dict[str, dict[str, Span]] = defaultdict(dict)
    for node in graph.nodes:
        if node.key not in spans:
            continue
        used[node.key] += gpus_of_step(spec, node) * spans[node.key].seconds
        if node.serving is not None:
            served[node.serving][node.key] = spans[node.key]
    for sharing in served.values():
        for key, seconds in shares(sharing).items():
            used[key] += gpus_of_server(spec) * seconds
    return used


def shares(spans: Mapping[str, Span]) -> dict[str, float]:
    """Seconds by key; where several spans cover a moment each gets an equal part of it."""
    moments = sorted({moment for each in spans.values() for moment in (each.start, each.end)})
    found = {key: 0.0 for key in spans}
    for start, end in pairwise(moments):
        inside = [key for key, each in spans.items() if each.start <= start and each.end >= end]
        for key in inside:
            found[key] += (end - start).total_seconds() / len(inside)
    return found
