"""The GPUs of this machine, shared out between a run's servers and its trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from selfreward.api import Keeping, SelfRewardRunSpec

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class Sharing:
    """What becomes of an engine while training has its turn, and who sees which GPUs."""

    keeping: Keeping = Keeping.NEVER
    serving: tuple[str, ...] = ()
    """GPUs that servers see; empty: all."""
    training: tuple[str, ...] = ()
    """GPUs that trainings see; empty: all."""
    warms: bool = False
    """Whether the next steps' processes import what they need while others are at work, which takes a core and 1 GB."""

    def variables(self, *, trains: bool) -> dict[str, str]:
        """The environment variables of a process."""
        seen = self.training if trains else self.serving
        return {VISIBLE: ",".join(seen)} if seen else {}


IN_TURNS: Final = Sharing()
"""No engine is kept, and whoever has the turn sees all."""


def share(spec: SelfRewardRunSpec, gpus: Sequence[str]) -> Sharing:
    """How servers and trainings share `gpus`: apart where there are enough of them, in turns otherwise."""
    serves = spec.serving.tensor_parallel * spec.serving.replicas
    trains = spec.training.processes_per_node * spec.training.nodes
    if serves + trains > len(gpus):
        return Sharing(Keeping.ASLEEP)
    return Sharing(Keeping.AWAKE, tuple(gpus[:serves]), tuple(gpus[serves : serves + trains]))
