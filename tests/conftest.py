"""What holds for every test of the project."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

# A test of many examples is timed as a whole; how long one of them takes says more of the machine than of the code.
hypothesis.settings.register_profile("selfreward", deadline=None)
hypothesis.settings.load_profile("selfreward")


_LONGEST = ("test_schedules.py", "test_world.py", "test_struck.py", "test_killed.py", "test_kill_resume.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests go to one worker: the longest begin first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: _LONGEST.index(item.path.name) if item.path.name in _LONGEST else len(_LONGEST))


def pytest_collection_finish() -> None:
    # What was imported stays: the collector need not look at half a million objects again and again.
    gc.freeze()


def pytest_configure() -> None:
    # pytest-asyncio asks for the present loop to put it back afterwards. Asked of a fresh process, asyncio makes
    # one that nobody ever closes, and the warning fails the session at its very end.
    asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test session that all its workers see."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def tiny_run(shared: Path) -> Path:
    """The file of a whole run of a tiny model; its server takes its time, so that there is a time to kill it in."""
    from tiny_run import write_run

    with FileLock(shared / "tiny-run.lock"):
        path = shared / "tiny-run" / "run.yaml"
        return path if path.exists() else write_run(path.parent, delay=0.3)


@pytest.fixture(scope="session")
def undisturbed(tiny_run: Path, shared: Path) -> Path:
    """The work directory of that run after its end, from one runner that nobody disturbed.

    Walked once a session, by the worker that asks first: to be compared with, never to be changed.
    """
    from tiny_run import output, start

    workdir, done = shared / "undisturbed" / "runs", shared / "undisturbed" / "done"
    with FileLock(shared / "undisturbed.lock"):
        if not done.exists():
            with start(tiny_run, workdir) as runner:
                assert runner.wait(timeout=600) == 0, output(workdir)
            done.touch()
    return workdir
