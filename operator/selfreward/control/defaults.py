"""Defaults of the operator's owner for what a run leaves out: its queue, and where its pods run and what they get.

A run says what it needs, its cluster's owner what every run there needs: the pool of GPU nodes and what they tolerate,
the pull secret of the mirror, the proxy. Storage has its own rules (:mod:`selfreward.control.storage`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import ValidationError

from selfreward.api import SelfRewardRun, Workload, Workloads
from selfreward.api.problems import described
from selfreward.render.metadata import QUEUE

_LEAVES_NOTHING_OUT = "termination_grace_period_seconds"
"""The CRD fills it in, so nobody can tell whether the user wrote it."""


@dataclass(frozen=True, slots=True)
class RunDefaults:
    """What a run gets where it says nothing itself."""

    queue: str | None = None
    """LocalQueue of Kueue; a run's own label, an empty one too, stands above it."""
    workloads: Workloads = field(default_factory=Workloads)
    """By kind of workload. A field that a run fills, it fills whole: lists and mappings are not merged."""

    def completed(self, run: SelfRewardRun) -> SelfRewardRun:
        """The run with what it leaves out. Like the user's own changes of placement, another default holds for what
        has not started."""
        changes: dict[str, object] = {}
        if self.queue is not None and QUEUE not in run.metadata.labels:
            labels = {**run.metadata.labels, QUEUE: self.queue}
            changes["metadata"] = run.metadata.model_copy(update={"labels": labels})
        kinds = {
            kind: _completed(getattr(run.spec.workloads, kind), default)
            for kind, default in self.workloads
            if default != Workload()
        }
        if kinds:
            workloads = run.spec.workloads.model_copy(update=kinds)
            changes["spec"] = run.spec.model_copy(update={"workloads": workloads})
        return run.model_copy(update=changes) if changes else run


def _completed(workload: Workload, default: Workload) -> Workload:
    """What the CRD or the user leaves empty is left out."""
    nothing = Workload()
    filled = {
        name: value
        for name, value in default
        if value != getattr(nothing, name) and getattr(workload, name) == getattr(nothing, name)
    }
    return workload.model_copy(update=filled)


def read_workloads(text: str) -> Workloads:
    """Default workloads from JSON, in the words of `spec.workloads`. Raises ValueError that says what is wrong."""
    try:
        found = Workloads.model_validate(json.loads(text))
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error}") from error
    except ValidationError as error:
        raise ValueError("; ".join(described(error, Workloads))) from error
    if wrong := list(_without_meaning(found)):
        raise ValueError("; ".join(wrong))
    return found


def _without_meaning(workloads: Workloads) -> Iterator[str]:
    for kind, workload in workloads:
        if _LEAVES_NOTHING_OUT in workload.model_fields_set:
            yield f"{kind}.terminationGracePeriodSeconds: has no default but the resource's own"
