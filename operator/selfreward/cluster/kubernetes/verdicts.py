"""The verdict of a workload on its own end: a hint, since the committed artifact decides. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from selfreward.cluster.kubernetes.resources import JOBS, View, condition_of
from selfreward.render.training import BACKENDS

_FAILED: Final = "Failed"
_SUCCEEDED: Final[Mapping[str, str]] = {
    JOBS.kind: "Complete",
    **{backend.resource.kind: backend.succeeded for backend in BACKENDS},
}
"""Type of the condition that says so, by the workload's kind."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a workload ended, in its own words."""

    succeeded: bool
    message: str


def verdict_of(workload: View) -> Verdict | None:
    """How a workload that ends has ended, if it has. A failure wins: PyTorchJob never takes one back."""
    for kind, well in ((_FAILED, False), (_SUCCEEDED[workload["kind"]], True)):
        condition = condition_of(workload, kind)
        if condition is not None:
            return Verdict(well, str(condition.get("message") or ""))
    return None
