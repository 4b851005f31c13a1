"""The progress of a sharded step, summed from what each shard has said."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

from selfreward_steps.contract import Progress

from selfreward.plan import ChildProgress

_RATES: Final = ("_per_second", "in_flight")
"""Ends of the names of metrics that add up over shards that run at the same time; of others the newest counts."""


class Spoken(Protocol):
    """The newest progress line of a shard, and when that was said."""

    @property
    def progress(self) -> Progress | None: ...

    @property
    def progress_at(self) -> datetime | None: ...


def summed_progress(shards: Sequence[tuple[Spoken, bool]]) -> ChildProgress | None:
    """The sum over shards, each with its output and whether it has a result; None while none has said anything.

    A shard that has not started is as long as the mean of the others, which is exact to one row, since shards
    are strided.
    """
    spoken = [(tail.progress, tail.progress_at) for tail, _ in shards if tail.progress is not None]
    newest: datetime | None = max((at for _, at in spoken if at is not None), default=None)
    if newest is None:
        return None
    counted = [progress for progress, _ in spoken if progress.total is not None]
    mean = sum(progress.total or 0 for progress in counted) / len(counted) if counted else None
    done = 0.0
    for tail, ended in shards:
        if tail.progress is not None and tail.progress.total is not None:
            done += tail.progress.done
        elif ended and mean is not None:
            # It found its output committed by an earlier attempt.
            done += mean
        elif tail.progress is not None and mean is None:
            done += tail.progress.done
    return ChildProgress(
        done=round(done),
        total=None if mean is None else round(mean * len(shards)),
        unit=(counted or [progress for progress, _ in spoken])[-1].unit,
        metrics=_metrics(shards, counted or [progress for progress, _ in spoken]),
        at=newest,
    )


def _metrics(shards: Sequence[tuple[Spoken, bool]], spoken: Sequence[Progress]) -> dict[str, float]:
    running = [tail.progress for tail, ended in shards if tail.progress is not None and not ended]
    found: dict[str, float] = {}
    for progress in spoken:
        found.update({name: value for name, value in progress.metrics.items() if not name.endswith(_RATES)})
    for progress in running:
        for name, value in progress.metrics.items():
            if name.endswith(_RATES):
                found[name] = found.get(name, 0.0) + value
    return found
