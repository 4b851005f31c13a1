"""Lets the tests of the steps import the programs that stand beside them, as `python tests/steps/X.py` does."""

import sys
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from bench import Bench
    from steps.pairing.judged_rows import Iteration


@pytest.fixture(scope="session")
def forks() -> ForkServerContext:
    """Where to fork processes that have torch loaded."""
    from forked import forking

    return forking()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Bench":
    """A store of one's own; scratch is in the test's folder too."""
    from bench import Bench

    monkeypatch.setenv("SELFREWARD_SCRATCH", str(tmp_path / "scratch"))
    return Bench(tmp_path)


@pytest.fixture
def iteration(tmp_path: Path) -> "Iteration":
    """A store with room for one iteration's judged prompts."""
    from steps.pairing.judged_rows import Iteration

    return Iteration(tmp_path)
