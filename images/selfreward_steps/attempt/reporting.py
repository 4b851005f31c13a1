"""The report of how an attempt ended: termination log, last line on standard output, one line on standard error.

It must never fail an attempt that succeeded: a machine without a termination log is normal.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from selfreward_steps.contract import MAX_RESULT_BYTES, TERMINATION_LOG_VARIABLE, StepResult

DEFAULT_TERMINATION_LOG = "/dev/termination-log"
_MESSAGE_BYTES = 2048


def report(result: StepResult, *, rank: int, started: float) -> None:
    """Write `result` where the control plane and the user look for it.

    `started` is the attempt's start in seconds since the epoch. torchrun's ranks above 0 only ever report a failure
    of their own, and the first failure wins over a later `Stopped`: torchrun stops the other ranks when one has
    failed, and theirs is not the reason to be told.
    """
    if not result.succeeded:
        print(f"{result.reason}: {result.message}", file=sys.stderr, flush=True)
    if rank > 0 and (result.succeeded or result.reason == "Stopped"):
        return
    text = fitted(result).model_dump_json(by_alias=True, exclude_none=True)
    path = Path(os.environ.get(TERMINATION_LOG_VARIABLE, DEFAULT_TERMINATION_LOG))
    if result.reason != "Stopped" or not _tells_a_failure(path, result, started):
        _write(path, text)
    if rank == 0:
        with suppress(BrokenPipeError):
            print(json.dumps({"kind": "result", **json.loads(text)}, ensure_ascii=False), flush=True)


def fitted(result: StepResult) -> StepResult:
    """`result` with its message cut and its last metrics left out until it is within MAX_RESULT_BYTES."""
    message = result.message.encode()
    if len(message) > _MESSAGE_BYTES:
        cut = message[:_MESSAGE_BYTES].decode(errors="ignore") + " …"
        result = result.model_copy(update={"message": cut})
    for field in ("metrics", "outputs"):
        while _size(result) > MAX_RESULT_BYTES and getattr(result, field):
            result = result.model_copy(update={field: dict(list(getattr(result, field).items())[:-1])})
    return result


def _size(result: StepResult) -> int:
    return len(result.model_dump_json(by_alias=True, exclude_none=True).encode())


def _tells_a_failure(path: Path, result: StepResult, since: float) -> bool:
    """Whether another rank of this attempt has already written why it failed."""
    try:
        if path.stat().st_mtime < since:
            return False
        earlier = StepResult.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return False
    return not earlier.succeeded and earlier.step == result.step and earlier.shard == result.shard


def _write(path: Path, text: str) -> None:
    # Absent outside Kubernetes; never created in /dev, where only a real termination log may lie.
    if path.parent == Path("/dev") and not path.exists():
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"the result could not be written to {path}: {error.strerror}", file=sys.stderr)
