"""Virtual time for every test of this folder."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "control" in item.path.parts and "tests" in item.path.parts:
            item.add_marker(pytest.mark.looptime)
            # kopf drops the session of watches that are cancelled while they open; ours are closed with the cluster.
            item.add_marker(
                pytest.mark.filterwarnings("ignore:.*ClientSession.__del__:pytest.PytestUnraisableExceptionWarning")
            )


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of this machine must not come between a client and the loopback interface."""
    monkeypatch.setenv("NO_PROXY", "*")
