"""The command `selfreward run`: from the user's file to the walk and what it says at the end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from selfreward_steps.errors import PermanentError
from selfreward_steps.store import Store, open_store

from selfreward.api import ConditionType, Reason, SelfRewardRun, StepState
from selfreward.api.load import changes_refused
from selfreward.cli.displays.live import LiveDisplay
from selfreward.cli.displays.outcome import print_report
from selfreward.cli.displays.plain import PlainDisplay
from selfreward.cli.displays.terminal import Terminal, echo
from selfreward.cli.displays.words import rows
from selfreward.cli.errors import FAILED, HELD, INTERRUPTED, USAGE, CommandError
from selfreward.cli.machine.preparing import prepared, sharing
from selfreward.cli.reporting import page_at_the_end
from selfreward.cli.validating import loaded
from selfreward.cluster.local import LocalCluster
from selfreward.cluster.local.record import RecordUnreadable, RunFolder, RunLocked, recorded
from selfreward.cluster.local.walk import Walk, waits_for_approval
from selfreward.plan import retry_failed
from selfreward.render import store_config


def run_file(
    file: Path, workdir: Path, overrides: Sequence[str], *, presets: Sequence[str] = (), plain: bool = False
) -> int:
    """Walk the run to its end; returns the exit code. Raises CommandError for what the user must change."""
    run = prepared(loaded(file, overrides, presets), workdir)
    folder = RunFolder(workdir, run.metadata.name)
    try:
        with folder.locked():
            return _run(file, run, folder, plain=plain)
    except (RunLocked, RecordUnreadable) as error:
        raise CommandError([str(error)]) from error
    except PermanentError as error:
        raise CommandError([f"{file}: {error.reason}: {error}"]) from error
    except OSError as error:
        where = error.filename or folder.path
        raise CommandError([f"{where}: {error.strerror}: what is committed is kept"], FAILED) from error


def _run(file: Path, run: SelfRewardRun, folder: RunFolder, *, plain: bool) -> int:
    old = folder.load()
    run = recorded(run, old)
    if old is not None and (refused := changes_refused(run, old)):
        raise CommandError([f"{file}: {line}" for line in refused])
    run = _tried_again(run)
    folder.save(run)
    config = store_config(run)
    store = open_store(config.uri, endpoint_url=config.endpoint_url, region=config.region)
    cluster = LocalCluster(folder.path, store, _now, sharing(run.spec))
    if cluster.leftovers:
        echo(f"ended {cluster.leftovers} processes that an earlier runner left behind")
    run, interrupted = _walked(run, cluster, folder, plain=plain)
    return _ended(file, run, folder, store, interrupted=interrupted)


def _walked(run: SelfRewardRun, cluster: LocalCluster, folder: RunFolder, *, plain: bool) -> tuple[SelfRewardRun, bool]:
    console = Terminal()
    live = console.is_terminal and not plain
    display = LiveDisplay(console) if live else PlainDisplay()
    shown: AbstractContextManager[object] = display if isinstance(display, LiveDisplay) else nullcontext()
    walk = Walk(run, cluster, folder, display, _now)
    stops = 0

    def stop() -> None:
        nonlocal stops
        stops += 1
        words = "stopping: what is committed is kept (once more kills)" if stops == 1 else "killing"
        console.print(words, style="yellow", markup=False)
        walk.stop()

    async def walked() -> SelfRewardRun:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop)
        return await walk.walk()

    with shown:
        return asyncio.run(walked()), stops > 0


def _tried_again(run: SelfRewardRun) -> SelfRewardRun:
    """A failed run goes on at its failed step: whoever starts it again wants that."""
    if run.status.true_condition(ConditionType.FAILED) is None:
        return run
    failed = ", ".join(row.key for row in rows(run.status) if row.state is StepState.FAILED)
    echo(f"run {run.metadata.name} failed before: trying again{f' from {failed}' if failed else ''}")
    return run.model_copy(update={"status": retry_failed(run.status, _now())})


def _ended(file: Path, run: SelfRewardRun, folder: RunFolder, store: Store, *, interrupted: bool) -> int:
    """Say how it ended; returns the exit code."""
    name, status = run.metadata.name, run.status
    page = page_at_the_end(run, folder, store) if status.finished_at is not None else None
    if (failure := run.status.true_condition(ConditionType.FAILED)) is not None:
        echo(f"{file}: run {name} failed: {failure.reason}: {failure.message}", err=True)
        for row in rows(status):
            if row.state is StepState.FAILED and row.child:
                echo(f"logs: {folder.path / 'children' / row.child}", err=True)
        if page is not None:
            echo(f"report: {page}", err=True)
        echo("the same command tries again from there", err=True)
        return USAGE if failure.reason == Reason.CONFIGURATION_ERROR else FAILED
    if status.finished_at is not None:
        print_report(run, folder.path, store, page)
        return 0
    if interrupted:
        echo(f"run {name} is stopped; the same command resumes it", err=True)
        return INTERRUPTED
    suspended = run.status.true_condition(ConditionType.SUSPENDED)
    if suspended is not None and suspended.reason == Reason.PAUSED_BY_GATE:
        echo(f"run {name} is paused: {suspended.message} in {file} and run the same command", err=True)
    elif waits_for_approval(status):
        words = next(each.message for each in status.conditions if each.type is ConditionType.READY)
        echo(f"run {name}: {words} in {file} and run the same command", err=True)
    else:
        echo(f"run {name} is suspended (spec.suspend: true); set it to false and run the same command", err=True)
    return HELD


def _now() -> datetime:
    return datetime.now(UTC)
