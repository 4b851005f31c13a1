"""The errors a step ends with, and the exit code each one means.

Kept apart from every step so that all of them, the store and the operator speak of failures in the same
three words. It must not import anything but the standard library: a pod that cannot even import torch
still has to say so with one of these.
"""

from collections.abc import Mapping
from typing import ClassVar


class StepError(Exception):
    """A failure that is told to the user as one line.

    `reason` is one CamelCase word that the operator copies into a condition; `str(error)` is the message:
    one line that names the field or file, its value and what to do. `metrics` are the numbers of a step that measured
    before it gave up: what a gate looks at does not depend on how the step ended.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, reason: str, message: str, metrics: Mapping[str, float] | None = None) -> None:
        # All go to Exception so that the error survives pickling between worker processes.
        super().__init__(reason, message, metrics)
        self.reason = reason
        self.metrics = dict(metrics or {})
        self.message = " ".join(message.split())

    def __str__(self) -> str:
        return self.message


class PermanentError(StepError):
    """Configuration or data is wrong: the user must act, a retry would end the same (sysexits EX_USAGE)."""

    exit_code = 64


class InfrastructureError(StepError):
    """Store, serving or node failed: not the run's fault, no retry is counted (sysexits EX_UNAVAILABLE)."""

    exit_code = 69


class StepFailed(StepError):
    """This attempt failed by itself (a loss of NaN, a judge that never scores); a retry counts."""

    exit_code = 1
