"""What holds for every test of the project."""

from __future__ import annotations

import asyncio
from pathlib import Path

import hypothesis
import pytest

# A test of many examples is timed as a whole; how long one of them takes says more of the machine than of the code.
hypothesis.settings.register_profile("selfreward", deadline=None)
hypothesis.settings.load_profile("selfreward")


_LONGEST = ("test_schedules.py", "test_world.py", "test_struck.py", "test_killed.py", "test_kill_resume.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests go to one worker: the longest begin first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: _LONGEST.index(item.path.name) if item.path.name in _LONGEST else len(_LONGEST))


def pytest_configure() -> None:
    # pytest-asyncio asks for the present loop to put it back afterwards. Asked of a fresh process, asyncio makes
    # one that nobody ever closes, and the warning fails the session at its very end.
    asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a whole run of a tiny model; its server takes its time, so that there is a time to kill it in."""
    from tiny_run import write_run

    return write_run(tmp_path_factory.mktemp("run"), delay=0.3)


@pytest.fixture(scope="session")
def undisturbed(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work directory of that run after its end, from one runner that nobody disturbed."""
    from tiny_run import output, start

    workdir = tmp_path_factory.mktemp("undisturbed") / "runs"
    with start(tiny_run, workdir) as runner:
        assert runner.wait(timeout=600) == 0, output(workdir)
    return workdir
