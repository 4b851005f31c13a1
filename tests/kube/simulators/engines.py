"""The agent of a kept engine's pod: what it is told by the pod's annotation, and what its engine holds.

A change of the annotation reaches the container with the kubelet's next write of the volume; readiness follows with the
next probe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from selfreward.render.kept import AGENT
from selfreward.render.metadata import ASSIGNMENT
from selfreward_steps.contract import Assignment, EngineReport, EngineState

from kube.behaviour import Behaviour, StepPod
from kube.clock import pause
from kube.storage import Object

if TYPE_CHECKING:
    from kube.simulators.kubelet import Kubelet

SYNC_SECONDS: Final = 0.5
SLEEP_SECONDS: Final = 0.1
PROBE_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Held:
    """What one engine holds."""

    model: str | None = None
    digest: str | None = None
    is_awake: bool = False
    """Whether it holds its GPU."""


class Engine:
    """One run of an engine's containers."""

    def __init__(self, kubelet: Kubelet, who: StepPod, does: Behaviour, restart: int) -> None:
        self._kubelet = kubelet
        self._who = who
        self._does = does
        self._restart = restart

    async def play(self, live: Callable[[], Object], ready: Callable[[bool], None], changed: asyncio.Event) -> None:
        """Do what the pod is told, for ever; `changed` is set when its annotations are written."""
        number = -1
        try:
            while True:
                changed.clear()
                told = _told(live())
                if told is None or told.number <= number:
                    await changed.wait()
                    continue
                await pause(SYNC_SECONDS)
                told = _told(live()) or told
                number = told.number
                ready(False)
                await self._say(number, EngineState.CHANGING)
                if not await self._carry_out(told):
                    await self._say(number, EngineState.FAILED, "the workers hold other weights")
                    continue
                await self._say(number, EngineState.ASLEEP if told.model is None else EngineState.SERVING)
                await pause(PROBE_SECONDS)
                ready(True)
        finally:
            self._kubelet.engines.pop(self._who.uid, None)

    async def _carry_out(self, told: Assignment) -> bool:
        held = self._kubelet.engines.get(self._who.uid)
        if told.model is None:
            await pause(SLEEP_SECONDS)
            self._kubelet.engines[self._who.uid] = Held()
            return True
        if held is None:
            self._kubelet.engines[self._who.uid] = Held(is_awake=True)
            await pause(self._does.ready_after)
        elif told.model in self._does.exchange_fails:
            self._kubelet.engines[self._who.uid] = Held(is_awake=True)
            return False
        else:
            await pause(self._does.exchange_after)
        self._kubelet.engines[self._who.uid] = Held(told.model, told.digest, is_awake=True)
        return True

    async def _say(self, number: int, state: EngineState, message: str = "") -> None:
        report = EngineReport(number=number, state=state, message=message)
        await self._kubelet.logs.write(self._who.uid, AGENT, self._restart, report.model_dump_json())


def _told(pod: Object) -> Assignment | None:
    text = (pod["metadata"].get("annotations") or {}).get(ASSIGNMENT)
    return None if text is None else Assignment.model_validate_json(text)
