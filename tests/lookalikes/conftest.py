"""Lets these tests import what the tests of the steps share, before any torch is there to take all threads."""

import sys
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "steps"))


@pytest.fixture(scope="session")
def forks() -> ForkServerContext:
    """Where to fork processes that have torch loaded."""
    from forked import forking

    return forking()
