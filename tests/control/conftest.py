"""Virtual time for every test of this folder."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "control" in item.path.parts and "tests" in item.path.parts:
            # Idle rounds before time moves: on the loopback interface what was sent is there at once.
            item.add_marker(pytest.mark.looptime(noop_cycles=8))
            # kopf drops the session of watches that are cancelled while they open; ours are closed with the cluster.
            item.add_marker(
                pytest.mark.filterwarnings("ignore:.*ClientSession.__del__:pytest.PytestUnraisableExceptionWarning")
            )


@pytest.fixture(autouse=True)
def no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits of simulated steps need not reach the disk: here processes end, never the machine."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of this machine must not come between a client and the loopback interface."""
    monkeypatch.setenv("NO_PROXY", "*")
    # Which aiohttp reads anew for every request, and a .netrc with it: an eighth of a run's cost.
    monkeypatch.setattr("aiohttp.helpers.proxy_bypass", lambda host: True)
    monkeypatch.setattr("aiohttp.client.netrc_from_env", lambda: None)
    # Nor is there time for the machine's certificates, which every client reads: nothing here speaks TLS.
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
