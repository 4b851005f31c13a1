"""The messages of a running step: progress lines while it runs, one result when it ends."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from selfreward_steps.contract.base import ContractModel
from selfreward_steps.contract.configs import StepName

MAX_RESULT_BYTES = 4096
"""Kubernetes cuts a termination message at this size."""
TERMINATION_LOG_VARIABLE = "SELFREWARD_TERMINATION_LOG"
"""Environment variable with the result's path; Kubernetes' default otherwise."""


class ExitCode(IntEnum):
    """Exit codes of a step. Anything else is a failure of this attempt."""

    DONE = 0
    FAILED = 1
    CONFIGURATION = 64
    """Permanent: the user must change something (EX_USAGE)."""
    UNAVAILABLE = 69
    """Infrastructure: store or serving out of reach; not counted against the retry limit (EX_UNAVAILABLE)."""


class FailureClass(StrEnum):
    """Who must act when an attempt has failed."""

    APPLICATION = "Application"
    """The attempt: tried again, up to the retry limit."""
    INFRASTRUCTURE = "Infrastructure"
    """Nobody: tried again, not counted."""
    PERMANENT = "Permanent"
    """The user: never tried again."""


class Progress(ContractModel):
    """One JSON line on standard output, at least every 30 s; silence is treated as a hang."""

    kind: Literal["progress"] = "progress"
    done: Annotated[int, Field(ge=0)]
    total: Annotated[int, Field(ge=0)] | None = None
    unit: str
    """What is counted: `prompts`, `candidates`, `steps`, …"""
    metrics: dict[str, float] = {}
    """Newest values of a few metrics (`loss`, `tokens_per_second`, …)."""


ALREADY_COMMITTED: Final = "AlreadyCommitted"
"""Reason of a result that found its output committed by an earlier attempt, and so has no numbers."""


class StepResult(ContractModel):
    """The end of an attempt. At most :data:`MAX_RESULT_BYTES` of JSON in the termination log."""

    step: StepName
    shard: int | None = None
    succeeded: bool
    reason: str
    """CamelCase, from the documented list: `Committed`, `AlreadyCommitted`, or why it failed."""
    message: str = ""
    """One line for the user: the field or file, the value, what to do."""
    failure_class: FailureClass | None = None
    outputs: dict[str, str] = {}
    """Digest of each committed artifact by name."""
    metrics: dict[str, float] = {}
    seconds: float = 0
    """Wall-clock time of the attempt."""
