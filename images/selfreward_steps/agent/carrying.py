"""The carrying out of assignments, one after another: bring the model, let the server start with it or tell it of it.

Level-triggered, as the operator is: every look compares what is assigned with what is there, so whatever dies (this
agent, the server, both) is put right by the next look. It must not decide whose turn it is, nor believe anything of the
server that the server has not said.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from selfreward_steps.agent.models import Models
from selfreward_steps.agent.probe import Probe
from selfreward_steps.agent.server import Server, Told, Unsure
from selfreward_steps.contract import Assignment, EngineReport, EngineState, ModelExchange
from selfreward_steps.errors import StepError

LOOK: Final = 0.1
"""Seconds between looks at the assignment while something is to be done."""
REST: Final = 1.0
"""Seconds between looks at a server that does what it should. The assignment is still looked at every :data:`LOOK`."""


class Agent:
    """One agent; :meth:`look` brings its server one step nearer to what is assigned."""

    def __init__(self, file: Path, models: Models, server: Server, probe: Probe, report: Callable[[str], None]) -> None:
        """`file` holds the assignment; `report` gets a line at each change."""
        self._file = file
        self._models = models
        self._server = server
        self._probe = probe
        self._report = report
        self._assigned: Assignment | None = None
        self._said: EngineReport | None = None

    async def run(self) -> None:
        """Carry out assignments for ever. Raises StepError where no engine runs that could go on without the model."""
        loop = asyncio.get_running_loop()
        due = 0.0
        while True:
            if self._read() or loop.time() >= due:
                settled = await self.look()
                due = loop.time() + (REST if settled else 0)
            await asyncio.sleep(LOOK)

    async def look(self) -> bool:
        """One look; returns whether nothing is left to do."""
        self._read()
        assigned = self._assigned
        if assigned is None:
            self._probe.change()
            return True
        try:
            if assigned.model is None:
                state, message = await self._sleep()
            else:
                state, message = await self._serve(assigned.model, assigned.digest)
        except Unsure:
            # What was said last stands: a busy server is not one that has changed.
            return False
        if self._read():
            # What was done is void: the next look does what holds now.
            return False
        self._say(assigned, state, message)
        return state is not EngineState.CHANGING

    def _read(self) -> bool:
        """Take in the assignment; returns whether there is a new one."""
        with contextlib.suppress(OSError, ValidationError):
            # A file that is being replaced, or is empty, tells nothing.
            found = Assignment.model_validate_json(self._file.read_text(encoding="utf-8"))
            if self._assigned is None or found.number > self._assigned.number:
                self._assigned = found
                self._say(found, EngineState.CHANGING)
                return True
        return False

    async def _sleep(self) -> tuple[EngineState, str]:
        # First, so that no server starts between the look and the answer.
        self._models.make_none_current()
        if not self._models.has_engine():
            return EngineState.ASLEEP, ""
        told = await self._server.ask()
        if told is not None and told.state == "serving":
            told = await self._server.tell(ModelExchange(model=None))
        return _state_of(told, told is not None and told.state == "asleep", EngineState.ASLEEP)

    async def _serve(self, model: str, digest: str | None) -> tuple[EngineState, str]:
        told = await self._server.ask()
        if _serves(told, model, digest) and self._models.is_current(model, digest):
            return EngineState.SERVING, ""
        try:
            await asyncio.to_thread(self._models.bring, model, digest)
        except StepError as error:
            if not self._models.has_engine():
                raise
            return EngineState.FAILED, f"{error.reason}: {error}"
        self._models.make_current(model, digest)
        told = await self._server.ask()
        if told is not None and told.state in ("serving", "asleep") and not _serves(told, model, digest):
            folder = str(self._models.folder_of(model))
            told = await self._server.tell(ModelExchange(model=model, folder=folder, digest=digest))
        done = _serves(told, model, digest)
        if done:
            self._models.remove_others(model)
        return _state_of(told, done, EngineState.SERVING)

    def _say(self, assigned: Assignment, state: EngineState, message: str = "") -> None:
        if state in (EngineState.SERVING, EngineState.ASLEEP):
            self._probe.done()
        else:
            self._probe.change()
        said = EngineReport(number=assigned.number, state=state, message=message)
        if said != self._said:
            self._said = said
            self._report(said.model_dump_json())


def _serves(told: Told | None, model: str, digest: str | None) -> bool:
    return told is not None and (told.state, told.model, told.digest or None) == ("serving", model, digest)


def _state_of(told: Told | None, done: bool, wanted: EngineState) -> tuple[EngineState, str]:
    if done:
        return wanted, ""
    if told is not None and told.state == "broken":
        return EngineState.FAILED, told.error
    return EngineState.CHANGING, ""
