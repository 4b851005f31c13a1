"""The progress of pods, and the rank of a training that a signal ended, read from their logs.

So no pod needs any right in the cluster. Each running pod's log end is read at most once a :data:`PERIOD`. A log that
cannot be read is no sign of a hang: the pod then counts as heard.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from selfreward_steps.contract import Progress

from selfreward.cluster.kubernetes.client import KubernetesClient
from selfreward.cluster.kubernetes.errors import KubernetesError
from selfreward.cluster.kubernetes.pods import is_over, main_container, phase_of, running_since
from selfreward.cluster.kubernetes.resources import View, name_of, uid_of
from selfreward.cluster.ranks import FallenRank, RankReader
from selfreward.cluster.spoken import progress_in

PERIOD: Final = 30.0
"""Seconds; steps print a line at least as often."""
_LINES: Final = 200
"""Enough to reach back over a library's warnings to the newest progress line."""
_PARALLEL: Final = 8
_MARK: Final = '{"kind":"progress"'

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Heard:
    """What one pod has said, and when its log was last read."""

    progress: Progress | None = None
    progress_at: datetime | None = None
    fallen: FallenRank | None = None
    """The process of a training that a signal ended, if its launcher says so."""
    looked_at: datetime | None = None
    was_over: bool = False


class PodLogs:
    """The newest progress of pods, by uid."""

    def __init__(self, client: KubernetesClient, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now
        self._heard: dict[str, Heard] = {}
        self._slots = asyncio.Semaphore(_PARALLEL)

    async def read(self, pods: Sequence[View]) -> bool:
        """Bring up to date what these pods have said; returns False, at once, when all were looked at lately."""
        due = [pod for pod in pods if self._is_due(pod)]
        await asyncio.gather(*(self._look(pod) for pod in due))
        return bool(due)

    def heard(self, pod: View) -> Heard:
        """What the pod has said, as of the last look."""
        return self._heard.get(uid_of(pod)) or Heard()

    def keep(self, uids: Collection[str]) -> None:
        """Forget what was heard of all pods but those with these uids."""
        self._heard = {uid: heard for uid, heard in self._heard.items() if uid in uids}

    def _is_due(self, pod: View) -> bool:
        if phase_of(pod) == "Pending" or running_since(pod) is None:
            return False
        heard = self._heard.setdefault(uid_of(pod), Heard())
        if is_over(pod):
            return not heard.was_over
        return heard.looked_at is None or self._now() - heard.looked_at >= timedelta(seconds=PERIOD)

    async def _look(self, pod: View) -> None:
        heard = self._heard.setdefault(uid_of(pod), Heard())
        # Before the wait: a second reconcile of the same run must not read the same log.
        heard.looked_at, heard.was_over = self._now(), is_over(pod)
        namespace, name = pod["metadata"]["namespace"], name_of(pod)
        try:
            async with self._slots:
                text = await self._client.log(namespace, name, main_container(pod), _LINES)
        except KubernetesError as error:
            logger.debug("log of %s/%s cannot be read: %s", namespace, name, error)
            if heard.progress is not None:
                heard.progress_at = self._now()
            return
        heard.fallen = RankReader(line.partition(" ")[2].strip() for line in text.splitlines()).fallen
        newest = newest_progress(text)
        if newest is not None:
            heard.progress, heard.progress_at = newest


def newest_progress(text: str) -> tuple[Progress, datetime] | None:
    """The newest progress line of a log whose lines begin with their times, and its time."""
    for line in reversed(text.splitlines()):
        stamp, _, said = line.partition(" ")
        if not said.startswith(_MARK):
            continue
        try:
            at = datetime.fromisoformat(stamp)
        except ValueError:
            continue
        if (progress := progress_in(said)) is not None:
            return progress, at
    return None
