"""Training backends: the registry of the ways to run a training step on a cluster.

All that is particular to one backend stands in its entry. Each makes one workload an attempt, and what that says of
its own end is only a hint: a training has succeeded when its artifact is committed.
"""

from __future__ import annotations

from typing import Final

from selfreward.api import TrainingBackend
from selfreward.render.training.backend import Backend
from selfreward.render.training.launch import launch_command
from selfreward.render.training.pytorchjob import PYTORCHJOB
from selfreward.render.training.trainjob import TRAINJOB

BACKENDS: Final[tuple[Backend, ...]] = (PYTORCHJOB, TRAINJOB)
"""All of them; where the user leaves the choice and a cluster serves several, the first is taken."""


def wanted_backends(wanted: TrainingBackend) -> tuple[Backend, ...]:
    """The backends that `spec.training.backend` lets a run use, the preferred first."""
    return tuple(each for each in BACKENDS if wanted in (TrainingBackend.AUTO, each.name))


__all__ = ["BACKENDS", "PYTORCHJOB", "TRAINJOB", "Backend", "launch_command", "wanted_backends"]
