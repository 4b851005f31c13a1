"""Runs that were made once: most tests only look at them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta

import pytest
from report.made_run import START, MadeRun
from selfreward.report.model import RunReport
from selfreward.report.reading import read_report

NOW = START + timedelta(hours=1)


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """The store waits for the disk at every commit, some ninety times a run; no test here loses power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="session")
def whole(no_waiting_for_the_disk: None, tmp_path_factory: pytest.TempPathFactory) -> RunReport:
    """The report of a small run that has ended."""
    run, store = MadeRun(tmp_path_factory.mktemp("whole")).make()
    return read_report(run, store, NOW)
