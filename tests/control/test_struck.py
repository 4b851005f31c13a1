"""API calls answered wrongly, watch events that are wrong: the run ends as if nothing had been.

A fault strikes every :data:`STRIDE`-th call of a run, in as many runs that begin at another call each: every call of an
undisturbed run is struck once, and what follows it has room to go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from control.bench import bench, end_of, outputs, rows, small_manifest
from kube import Fault, FaultKind, Logged, WatchFault, WatchFaultKind
from selfreward.api import Phase

STRIDE = 8
EVENT_STRIDE = 4
FAULTS = (
    *(Fault(answer=code) for code in (409, 422, 500, 503)),
    Fault(answer=429, retry_after=1),
    Fault(FaultKind.TIMEOUT_AFTER_COMMIT),
    Fault(FaultKind.RESET_BEFORE_COMMIT),
    Fault(FaultKind.RESET_AFTER_COMMIT),
)
WATCH_FAULTS = [kind for kind in WatchFaultKind if kind is not WatchFaultKind.STALL]
"""A watch that stays silent for ever is another test's, in `test_outages`."""


@dataclass
class Strikes:
    """Counts calls, and strikes those of one part, up to the number that an undisturbed run has."""

    fault: Fault
    part: int
    most: int
    calls: int = 0
    struck: int = 0

    def __call__(self, _: Logged) -> Fault | None:
        self.calls += 1
        if self.calls > self.most or self.calls % STRIDE != self.part:
            return None
        self.struck += 1
        return self.fault


@pytest.mark.parametrize("part", range(STRIDE))
@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_each_call_is_struck_once(tmp_path: Path, fault: Fault, part: int) -> None:
    undisturbed = await end_of("small", tmp_path, small_manifest)
    usual = undisturbed.calls
    async with bench(tmp_path) as made:
        made.cluster.faults.decide = strikes = Strikes(fault, part, usual)
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        status = await made.finished()
        calls = strikes.calls
        await made.cluster.idle(90)
        made.check()
    # A run whose calls are answered late makes fewer of them: what happened meanwhile is told at once.
    assert strikes.struck == len([call for call in range(1, min(usual, calls) + 1) if call % STRIDE == part])
    assert status.phase is Phase.SUCCEEDED
    assert {row.attempt for row in rows(status).values()} == {1}
    assert outputs(status) == undisturbed.commits
    assert calls <= 2 * usual


@pytest.mark.parametrize("part", range(EVENT_STRIDE))
@pytest.mark.parametrize("kind", WATCH_FAULTS)
async def test_each_watch_event_is_struck_once(tmp_path: Path, kind: WatchFaultKind, part: int) -> None:
    undisturbed = await end_of("small", tmp_path, small_manifest)
    async with bench(tmp_path) as made:
        made.cluster.faults.on_watch(*(WatchFault(kind, nth=nth) for nth in range(part + 1, 2000, EVENT_STRIDE)))
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        status = await made.finished()
        assert len(made.cluster.faults.injected) >= 10
        await made.cluster.idle(90)
        made.check()
    assert status.phase is Phase.SUCCEEDED
    assert {row.attempt for row in rows(status).values()} == {1}
    assert outputs(status) == undisturbed.commits
