"""The plain display, for logs, CI and pipes: a line for each event, and one every ten seconds for a running step."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from selfreward_steps.errors import InfrastructureError

from selfreward.api import SelfRewardRun, ServingState, StepState
from selfreward.cli.displays.pace import Paces
from selfreward.cli.displays.terminal import echo
from selfreward.cli.displays.words import progress, rows
from selfreward.plan import Decision, Observed
from selfreward.plan.types import EventReason
from selfreward.report.highlights import highlights

_PERIOD: Final = timedelta(seconds=10)
_TOLD_AT_THE_END: Final = (EventReason.RUN_FAILED, EventReason.RUN_SUCCEEDED)


class PlainDisplay:
    """A display that prints a line for whatever is new since the last look."""

    def __init__(self) -> None:
        self._paces = Paces()
        self._told: dict[str, tuple[datetime, str]] = {}
        """By step or server: when something was last said of it, and what."""

    def looked(self, run: SelfRewardRun, observed: Observed, decision: Decision) -> None:
        now = datetime.now().astimezone()
        for event in decision.events:
            if event.reason in _TOLD_AT_THE_END:
                continue
            text = event.message
            if event.reason is EventReason.STEP_SUCCEEDED:
                text += _metrics_of(run, event.message)
            self._say(now, f"{_spaced(event.reason)}: {text}")
        for row in rows(run.status):
            pace = self._paces.pace(row, now)
            if row.state is StepState.RUNNING:
                self._tell(now, row.key, progress(row, pace))
        for serving in run.status.servings:
            if serving.state is ServingState.STARTING:
                self._tell(now, f"server of {serving.model}", serving.message)

    def store_unavailable(self, error: InfrastructureError) -> None:
        self._tell(datetime.now().astimezone(), "store", f"{error.reason}: {error}")

    def _tell(self, now: datetime, subject: str, text: str) -> None:
        at, last = self._told.get(subject, (now - _PERIOD, ""))
        if text and text != last and now - at >= _PERIOD:
            self._told[subject] = (now, text)
            self._say(now, f"{subject}: {text}")

    def _say(self, now: datetime, text: str) -> None:
        echo(f"{now:%H:%M:%S} {text}")


def _spaced(reason: EventReason) -> str:
    """The words of a reason: `StepStarted` gives `step started`."""
    return "".join(f" {char.lower()}" if char.isupper() else char for char in reason).strip()


def _metrics_of(run: SelfRewardRun, message: str) -> str:
    key = message.split(",")[0].split(":")[0].strip()
    found = next((highlights(row.step, row.metrics) for row in rows(run.status) if row.key == key), "")
    return f"  {found}" if found else ""
