"""`python -m selfreward_steps agent`: a container beside a kept server.

It has the rights of its pod's containers and no more: it reads its assignment from a file and says how it goes on
standard output. The operator and it never meet.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from selfreward_steps.agent.carrying import Agent
from selfreward_steps.agent.models import Models
from selfreward_steps.agent.probe import Probe
from selfreward_steps.agent.server import Server
from selfreward_steps.contract import AGENT_VARIABLE, SERVING_KEY, AgentConfig
from selfreward_steps.errors import PermanentError, StepError

_STOPPED: Final = 143


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Carry out assignments until stopped; returns the exit code, and tells a failure in one line."""
    signal.signal(signal.SIGTERM, _stop)  # as process 1 it would not hear it
    try:
        config = _configuration(environment)
        asyncio.run(_run(config, environment.get(SERVING_KEY, "")))
    except StepError as error:
        print(f"{error.reason}: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0


async def _run(config: AgentConfig, key: str) -> None:
    probe = Probe()
    models = Models(Path(config.models), config.store)
    agent = Agent(Path(config.assignment), models, Server(config.server_port, key), probe, _print)
    async with await probe.serve(config.probe_port):
        await agent.run()


def _configuration(environment: Mapping[str, str]) -> AgentConfig:
    try:
        return AgentConfig.model_validate_json(environment.get(AGENT_VARIABLE, ""))
    except ValidationError as error:
        raise PermanentError("BadConfiguration", f"{AGENT_VARIABLE}: {error.errors()[0]['msg']}") from error


def _print(line: str) -> None:
    print(line, flush=True)


def _stop(*_: Any) -> None:
    os._exit(_STOPPED)
