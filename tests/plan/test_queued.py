"""Waiting in a queue before the cluster: no deadline counts, and the count begins when it lets go."""

from __future__ import annotations

import pytest
from plan.scenes import ago, row, scene, serving
from selfreward.api import Reason, ServingState, StepState
from selfreward.plan import ChildPhase


@pytest.mark.parametrize(
    ("queued", "admitted", "late"),
    [
        pytest.param(False, None, True, id="no queue"),
        pytest.param(True, None, False, id="held"),
        pytest.param(False, 50, False, id="let go"),
        pytest.param(False, 100, True, id="let go long ago"),
        pytest.param(True, 500, False, id="held again"),
    ],
)
class TestLate:
    """The deadlines are 100 s; the attempts began 900 s ago."""

    def test_a_step(self, queued: bool, admitted: float | None, late: bool) -> None:
        moment = scene("sft").active("sft", started_at=ago(900))
        since = None if admitted is None else ago(admitted)
        moment.child("sft", ChildPhase.PENDING, queued=queued, admitted_at=since)
        after = row(moment.decide(), "sft")
        assert (after.reason == Reason.START_DEADLINE_EXCEEDED) is late
        assert (after.state is StepState.WAITING) is late

    def test_a_server(self, queued: bool, admitted: float | None, late: bool) -> None:
        moment = scene("prompts-1").serving("m1", ServingState.STARTING, since=ago(900))
        since = None if admitted is None else ago(admitted)
        moment.server("m1", ChildPhase.PENDING, queued=queued, admitted_at=since)
        found = serving(moment.decide(), "m1")
        assert found is not None
        assert (found.state is ServingState.STOPPING) is late
