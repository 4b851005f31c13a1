"""The live display: the graph with what has been done, what runs, how fast, and what it waits for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text
from selfreward_steps.errors import InfrastructureError

from selfreward.api import IterationStatus, SelfRewardRun, ServingState, StepState, StepStatus
from selfreward.cli.displays.pace import Paces
from selfreward.cli.displays.words import progress, took
from selfreward.plan import Decision, Observed
from selfreward.report.highlights import highlights
from selfreward.report.words import duration

_MARKS: Final = {
    StepState.WAITING: Text("·", style="dim"),
    StepState.STARTING: Text("…", style="cyan"),
    StepState.SUCCEEDED: Text("✔", style="green"),
    StepState.FAILED: Text("✘", style="red"),
}


class LiveDisplay:
    """A display that redraws itself in place; a context manager, since the terminal must be given back."""

    def __init__(self, console: Console, clock: Callable[[], datetime] = lambda: datetime.now().astimezone()) -> None:
        self._console = console
        self._clock = clock
        self._live = Live(console=console, refresh_per_second=8, transient=True)
        self._paces = Paces()
        self._trouble = ""
        self._spinner = Spinner("dots")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def looked(self, run: SelfRewardRun, observed: Observed, decision: Decision) -> None:
        now = self._clock()
        self._trouble = ""
        for event in decision.events:
            if event.warning:
                self._console.print(f"{now:%H:%M:%S} {event.message}", style="yellow", markup=False)
        self._live.update(self._drawn(run, now))

    def store_unavailable(self, error: InfrastructureError) -> None:
        if self._trouble != str(error):
            self._trouble = str(error)
            self._console.print(f"{error.reason}: {error}", style="yellow", markup=False)

    def _drawn(self, run: SelfRewardRun, now: datetime) -> RenderableType:
        status = run.status
        since = f"  {duration(now - status.started_at)}" if status.started_at else ""
        heading = Text.assemble((run.metadata.name, "bold"), f"  {status.phase}{since}")
        return Group(heading, self._table(run, now), *_servings(run, now))

    def _table(self, run: SelfRewardRun, now: datetime) -> Table:
        table = Table.grid(padding=(0, 1))
        for iteration in run.status.iterations:
            if _is_past(iteration, run) or _is_far(iteration):
                _add_summary(table, iteration)
            else:
                for row in iteration.steps:
                    self._add_step(table, row, now)
        return table

    def _add_step(self, table: Table, row: StepStatus, now: datetime) -> None:
        pace = self._paces.pace(row, now)
        time = took(row, now)
        mark: RenderableType = self._spinner if row.state is StepState.RUNNING else _MARKS[row.state]
        shown = duration(time) if time is not None else ""
        table.add_row(mark, row.key, shown, _bar(row), _words(row, progress(row, pace), now))


def _bar(row: StepStatus) -> RenderableType:
    if row.state is not StepState.RUNNING or row.progress is None or not row.progress.total:
        return ""
    return ProgressBar(total=row.progress.total, completed=row.progress.done, width=24)


def _words(row: StepStatus, so_far: str, now: datetime) -> Text:
    match row.state:
        case StepState.RUNNING:
            return Text(so_far)
        case StepState.SUCCEEDED:
            return Text(highlights(row.step, row.metrics), style="dim")
        case StepState.FAILED:
            return Text(row.message, style="red")
        case StepState.WAITING if row.retry_at is not None:
            return Text(
                f"again in {duration(max(row.retry_at - now, row.retry_at - row.retry_at))}: {row.message}",
                style="yellow",
            )
        case _:
            return Text(row.message, style="dim")


def _servings(run: SelfRewardRun, now: datetime) -> list[Text]:
    return [
        Text.assemble(
            ("  server of ", "dim"),
            serving.model,
            (f"  {serving.state}  {duration(now - serving.since)}", "dim"),
            (f"  {serving.message}" if serving.state is not ServingState.READY else "", "dim"),
            overflow="ellipsis",
            no_wrap=True,
        )
        for serving in run.status.servings
    ]


def _is_past(iteration: IterationStatus, run: SelfRewardRun) -> bool:
    """Done, and followed by another that has begun: one line will do."""
    done = all(row.state is StepState.SUCCEEDED for row in iteration.steps)
    later = [other for other in run.status.iterations if other.number > iteration.number]
    return done and iteration.number > 0 and any(row.attempt > 0 for other in later for row in other.steps)


def _is_far(iteration: IterationStatus) -> bool:
    """Not begun, and not the first: its steps are the same as those above."""
    return iteration.number > 1 and all(row.attempt == 0 for row in iteration.steps)


def _add_summary(table: Table, iteration: IterationStatus) -> None:
    starts = [row.started_at for row in iteration.steps if row.started_at is not None]
    ends = [row.finished_at for row in iteration.steps if row.finished_at is not None]
    time = duration(max(ends) - min(starts)) if starts and ends else ""
    steps = f"{len(iteration.steps)} steps"
    mark = _MARKS[StepState.WAITING if _is_far(iteration) else StepState.SUCCEEDED]
    table.add_row(mark, f"iteration {iteration.number}", time, "", Text(steps, style="dim"))
