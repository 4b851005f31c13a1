"""Times that lie beyond every calendar: whoever writes one means never, and the run goes on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from control.bench import bench, condition, rows, small_manifest, status_of
from kube import Behaviour
from selfreward.api import ConditionType, Phase

LONG = {"year 33658": 10**12, "64 bits": 2**62}
DEADLINES = ("run", "start", "serving", "progress")


def deadlines(field: str, seconds: int) -> dict[str, Any]:
    given = {"step": seconds if field == "progress" else 1000, "start": 300, "serving": 300, "progress": 200}
    return {"deadlines": {**given, field: seconds}}


@pytest.mark.parametrize("seconds", LONG.values(), ids=LONG)
@pytest.mark.parametrize("field", [*DEADLINES, "step", "ttlSecondsAfterFinished"])
async def test_a_run_ends_as_if_there_were_none(
    tmp_path: Path, field: str, seconds: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The sum was an error of Python's, met again at each look: no deadline was kept, and nothing was said."""
    asked = {field: seconds} if field.startswith("ttl") else deadlines(field, seconds)
    async with bench(tmp_path) as made:
        made.cluster.create(small_manifest(tmp_path, **asked))
        made.start()
        status = await made.finished()
        await made.cluster.idle(120)
        made.check()
        assert made.cluster.get("SelfRewardRun", "demo") is not None
    assert status.phase is Phase.SUCCEEDED
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("seconds", LONG.values(), ids=LONG)
async def test_a_step_that_is_to_wait_for_ever_says_so(
    tmp_path: Path, seconds: int, caplog: pytest.LogCaptureFixture
) -> None:
    retry = {"limit": 3, "backoffSeconds": seconds, "maxBackoffSeconds": seconds, "infrastructureSeconds": seconds}
    async with bench(tmp_path) as made:
        made.cluster.playbook.on(Behaviour(runs=5, exit_code=1), key="import", attempt=1)
        made.cluster.create(small_manifest(tmp_path, retry=retry))
        made.start()
        await made.cluster.idle(300)
        made.check()
        status = status_of(made.cluster)
    assert rows(status)["import"].retry_at is not None
    assert condition(status, ConditionType.PROGRESSING) == "False/WaitingForRetry"
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
