"""A child of the local cluster: its identity, and how it is looked at and ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from selfreward.plan import ChildKind, ObservedChild


@dataclass(frozen=True, slots=True)
class Identity:
    """Name, uid and purpose of a child; what its metadata and labels are on Kubernetes."""

    name: str
    uid: str
    kind: ChildKind
    attempt: int
    created_at: datetime
    key: str = ""
    model: str = ""


class Child(ABC):
    """One workload of the run, as processes of this machine."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.deleting = False

    @abstractmethod
    def refresh(self, now: datetime) -> None:
        """Look at its processes, and start those whose turn it is."""

    @abstractmethod
    def observed(self) -> ObservedChild:
        """What there is to see of it, as of the last refresh."""

    @abstractmethod
    def stop(self, grace: float | None = None) -> None:
        """Begin to end it: SIGTERM now, SIGKILL after `grace` seconds (None: what its manifest says)."""

    @property
    @abstractmethod
    def is_gone(self) -> bool:
        """Whether no process of it is left."""

    @property
    @abstractmethod
    def logs(self) -> list[Path]:
        """The log files of its processes."""
