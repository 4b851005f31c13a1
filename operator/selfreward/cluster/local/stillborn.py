"""A child that could not be started at all, so that the walk hears of it as of any other failure."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from selfreward.cluster.local.child import Child, Identity
from selfreward.plan import ChildPhase, Failure, ObservedChild


class Stillborn(Child):
    """A child that had failed before any process of it started."""

    def __init__(self, identity: Identity, failure: Failure) -> None:
        super().__init__(identity)
        self._failure = failure

    def refresh(self, now: datetime) -> None:
        """Nothing to do: a child that never started cannot change."""

    def observed(self) -> ObservedChild:
        identity = self.identity
        return ObservedChild(
            name=identity.name,
            uid=identity.uid,
            kind=identity.kind,
            phase=ChildPhase.FAILED,
            created_at=identity.created_at,
            key=identity.key,
            model=identity.model,
            attempt=identity.attempt,
            failures=(self._failure,),
            deleting=self.deleting,
        )

    def stop(self, grace: float | None = None) -> None:
        self.deleting = True

    @property
    def is_gone(self) -> bool:
        return True

    @property
    def logs(self) -> list[Path]:
        return []
