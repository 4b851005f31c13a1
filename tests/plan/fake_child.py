"""One workload of the simulated world, as its fate has it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from plan.faults import Fate
from selfreward.plan import AssignModel, ChildKind, ChildPhase, Failure, Node, ObservedChild


@dataclass
class FakeChild:
    """One workload and what becomes of it."""

    seen: ObservedChild
    fate: Fate
    seen_from: datetime
    node: Node | None = None
    digest: str = ""
    """What it will commit."""
    work: int = 0
    done: int = 0
    starved: int = 0
    age: int = 0
    """Beats since it last changed phase."""
    gone_in: int | None = None
    told: AssignModel | None = None
    """What an engine was told to serve, and has not begun with."""

    def become(self, phase: ChildPhase, now: datetime, failure: Failure | None = None, waiting: str = "") -> None:
        """Change phase."""
        running_at = now if phase is ChildPhase.RUNNING else self.seen.running_at
        self.seen = replace(
            self.seen, phase=phase, failures=(failure,) if failure else (), waiting=waiting, running_at=running_at
        )
        self.age = 0

    @property
    def holds_gpu(self) -> bool:
        """Whether it is a server or a training that has not ended."""
        holds = self.seen.kind in (ChildKind.SERVING, ChildKind.TRAINING)
        return holds and not self.seen.phase.is_terminal and self.seen.phase is not ChildPhase.ASLEEP
