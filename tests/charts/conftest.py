"""helm for the tests of this folder, and virtual time for those that run an operator."""

from __future__ import annotations

import pytest
from charts.helm import Helm


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.name == "test_rights.py":
            item.add_marker(pytest.mark.looptime)


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tmp_path_factory.mktemp("helm"))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of this machine must not come between a client and the loopback interface."""
    monkeypatch.setenv("NO_PROXY", "*")
