"""One run of a pod's main container: lines, the commit, and how it ends."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from selfreward_steps.contract import FailureClass, Progress, StepResult

from kube.behaviour import Behaviour, Ending, StepPod
from kube.clock import pause
from kube.simulators.artifacts import SimulatedStep, exit_code_of

if TYPE_CHECKING:
    from kube.simulators.kubelet import Kubelet


@dataclass(frozen=True)
class Ended:
    """A container's end."""

    code: int
    reason: str = ""
    message: str = ""


class ContainerRun:
    """Plays what a script says of the main container."""

    def __init__(self, kubelet: Kubelet, who: StepPod, does: Behaviour, restart: int) -> None:
        self._kubelet = kubelet
        self._who = who
        self._does = does
        self._restart = restart
        text = who.environment.get("SELFREWARD_CONFIG")
        self._step = None if text is None else SimulatedStep(text, who.shard, kubelet.after_commit)
        self._result: StepResult | None = None

    async def play(self) -> Ended:
        """Run to the end; a hang never returns."""
        printer = asyncio.ensure_future(self._print())
        try:
            if self._step is not None:
                await self._step.wait_for_inputs()
            await self._work()
        finally:
            printer.cancel()
        if self._does.ending is Ending.HANG:
            await pause(math.inf)
        return self._ended()

    async def _work(self) -> None:
        does = self._does
        runs = does.runs
        if runs is None:
            runs = math.inf if self._who.is_server and does.ending is Ending.EXIT and not does.exit_code else 1.0
        commits = does.commits
        if commits is None:
            commits = does.ending is Ending.EXIT and does.exit_code == 0
        at = runs if does.commits_after is None else min(does.commits_after, runs)
        if not commits or self._step is None:
            await pause(runs)
            return
        await pause(at)
        self._commit()
        await pause(runs - at)

    def _commit(self) -> None:
        assert self._step is not None
        # torchrun's other ranks commit nothing.
        if self._who.rank == 0:
            self._result = self._step.commit(self._does.metrics)

    def _ended(self) -> Ended:
        does = self._does
        if does.ending is Ending.OOM_KILLED:
            return Ended(137, "OOMKilled", does.message or "")
        result = self._result
        if result is not None and not result.succeeded:
            return Ended(exit_code_of(result), "", _text(result))
        if does.message is not None:
            return Ended(does.exit_code, "", does.message)
        if self._step is None:
            return Ended(does.exit_code)
        if does.exit_code:
            kind = FailureClass.PERMANENT if does.exit_code == 64 else FailureClass.APPLICATION
            kind = FailureClass.INFRASTRUCTURE if does.exit_code == 69 else kind
            failed = self._step.failure(does.result_reason, f"scripted: exit code {does.exit_code}", kind)
            return Ended(does.exit_code, "", _text(failed))
        return Ended(0, "", _text(result) if result is not None else "")

    async def _print(self) -> None:
        """Progress lines on time, and the script's own lines between them."""
        silent = math.inf if self._does.silent_after is None else self._does.silent_after
        does, total = self._does, 100
        runs = does.runs or 1.0
        due: list[tuple[float, str]] = list(does.lines)
        if self._step is not None:
            steps = int(min(runs, silent, 10_000) // does.progress_every)
            for index in range(steps + 1):
                at = index * does.progress_every
                done = min(total, int(total * at / runs))
                line = Progress(done=done, total=total, unit="items", metrics=dict(does.metrics))
                due.append((at, line.model_dump_json(by_alias=True)))
        now = 0.0
        for at, text in sorted(due):
            if at >= silent:
                break
            await asyncio.sleep(max(at - now, 0))
            now = max(at, now)
            name = self._who.pod["spec"]["containers"][0]["name"]
            await self._kubelet.logs.write(self._who.uid, name, self._restart, text)


def _text(result: StepResult) -> str:
    return json.dumps(json.loads(result.model_dump_json(by_alias=True, exclude_none=True)))
