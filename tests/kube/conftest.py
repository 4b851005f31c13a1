"""Virtual time for every test of this folder but those on a real API server, which has none."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from kube.calls import Serve, calling
from kube.real_server import calling_the_real_server, install_crd, kubeconfig, remove_crd


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        is_real = isinstance(item, pytest.Function) and getattr(item, "callspec", None) is not None
        is_real = is_real and item.callspec.params.get("server") == "real"  # type: ignore[attr-defined]
        if "kube" in item.path.parts and not is_real:
            item.add_marker(pytest.mark.looptime)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of this machine must not come between a client and the loopback interface."""
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture(params=["memory", *(["real"] if kubeconfig() else [])])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Serve:
    """Each API server that there is: ours, and a real one where one is named."""
    if request.param == "real":
        request.getfixturevalue("real_crd")
        return calling_the_real_server
    return functools.partial(calling, tmp_path)


@pytest.fixture(scope="session")
def real_crd() -> Iterator[None]:
    """Our CRD on the real server, which is left as it was found."""
    is_ours = asyncio.run(install_crd())
    yield
    if is_ours:
        asyncio.run(remove_crd())
