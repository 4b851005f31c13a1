"""The invariants of docs/architecture.md, asked of the cluster again and again for as long as the suite runs.

It sees what an administrator sees, about once a second: what lives for less than that it may miss, what it finds is
real. Invariants 2, 3, 6 and 7 are checked by the scenarios themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from control.invariants import check_monotonic
from selfreward.api import RunStatus
from selfreward.render import metadata as labels

from real_cluster.api import Api, Object
from real_cluster.runs import seconds_since

GPU_SECONDS: Final = 60.0
_GRACE: Final = 5.0
"""Between a pod's end and this look at it."""
_PERIOD: Final = 1.0
_WORKLOADS: Final = ("Job", "PyTorchJob", "Deployment")


@dataclass
class Watcher:
    """Looks at all runs of the cluster until it is stopped."""

    api: Api
    broken: list[str] = field(default_factory=list)
    """What did not hold, each once."""
    looks: int = 0
    _seen: dict[str, RunStatus] = field(default_factory=dict)

    async def run(self) -> None:
        """Look until cancelled; a look that the API server does not answer is made again."""
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await self.look()
            await asyncio.sleep(_PERIOD)

    async def look(self) -> None:
        """One look at everything."""
        workloads = [item for kind in _WORKLOADS for item in await self.api.list(kind, None, labels.RUN)]
        self._one_live_child_a_step(workloads)
        pods = await self.api.list("Pod", None, labels.RUN)
        for raw in await self.api.list("SelfRewardRun", None):
            self._status_goes_forward(raw)
            self._nothing_held(raw, pods)
        self.looks += 1

    def check(self) -> None:
        """Fail the test in which something was found broken."""
        found, self.broken = self.broken, []
        assert not found, "\n".join(found)

    def _note(self, words: str) -> None:
        if words not in self.broken:
            self.broken.append(words)

    def _one_live_child_a_step(self, workloads: Iterable[Object]) -> None:
        live: dict[tuple[str, str], str] = {}
        for item in workloads:
            if item["metadata"].get("deletionTimestamp") or _has_ended(item):
                continue
            told = item["metadata"]["labels"]
            place = (told.get(labels.RUN_UID, ""), told.get(labels.KEY) or told.get(labels.MODEL, ""))
            name = item["metadata"]["name"]
            if place in live:
                self._note(f"invariant 1: {live[place]} and {name} both live")
            live[place] = name

    def _status_goes_forward(self, raw: Object) -> None:
        uid, status = raw["metadata"]["uid"], RunStatus.model_validate(raw.get("status") or {})
        before = self._seen.get(uid)
        self._seen[uid] = status
        if before is None or before == status:
            return
        try:
            check_monotonic(before, status)
        except AssertionError as error:
            self._note(f"invariant 4: {raw['metadata']['name']}: {error}")

    def _nothing_held(self, raw: Object, pods: Iterable[Object]) -> None:
        status = RunStatus.model_validate(raw.get("status") or {})
        still = status.finished_at or status.suspended_at
        if still is None or seconds_since(still) <= GPU_SECONDS + _GRACE:
            return
        for pod in pods:
            is_own = pod["metadata"]["labels"].get(labels.RUN_UID) == raw["metadata"]["uid"]
            if is_own and pod["status"].get("phase") not in ("Succeeded", "Failed"):
                self._note(f"invariant 5: {pod['metadata']['name']} lives {seconds_since(still):.0f} s after the end")


def _has_ended(item: Object) -> bool:
    conditions = (item.get("status") or {}).get("conditions") or []
    return any(each["type"] in ("Complete", "Failed", "Succeeded") and each["status"] == "True" for each in conditions)
