"""One installation for the whole session: the chart, an S3 server, and a watcher of the invariants.

    make test-cluster     # against the cluster that KUBECONFIG names

See docs/development.md for what the cluster must have.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from kubernetes.aio.client import ApiClient
from selfreward.control.credentials import load_configuration

from real_cluster.api import Api, until
from real_cluster.ground import LABEL, Ground, Images
from real_cluster.invariants import Watcher
from real_cluster.measuring import Measured
from real_cluster.operators import Operators
from real_cluster.release import Release

HOME = "selfreward-suite"
_MEASURED: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "real_cluster" in item.path.parts:
            # One loop for all: the watcher runs beside every test.
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.timeout(2400))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _MEASURED:
        terminalreporter.section("measured")
        for line in _MEASURED:
            terminalreporter.line(line)


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Notes a number that the session prints at its end."""
    return lambda words: _MEASURED.append(f"{request.node.name}: {words}")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api() -> AsyncIterator[Api]:
    """The cluster that KUBECONFIG names."""
    async with ApiClient(await load_configuration()) as client:
        yield Api(client)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ground(api: Api) -> AsyncIterator[Ground]:
    """Namespaces and seed data; removed at the end."""
    foreign = [run for run in await api.list("SelfRewardRun", None) if not await _is_ours(api, run)]
    assert not foreign, "this cluster has runs of its own: the suite's operator would walk them too"
    made = Ground(api, Images(), HOME)
    await made.prepare()
    yield made
    for namespace in await api.list("Namespace", None, LABEL):
        await made.close(namespace["metadata"]["name"])


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def release(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Release]:
    """The chart's release, which every run of the session has its operator from."""
    made = Release(ground, HOME, tmp_path_factory.mktemp("helm"))
    await made.install()
    yield made
    # A run whose artifacts go with it needs the operator for that.
    for run in await ground.api.list("SelfRewardRun", None):
        await ground.api.delete("SelfRewardRun", run["metadata"]["namespace"], run["metadata"]["name"])
    await until(lambda: _no_run(ground.api), "every run is gone", 180)
    await made.uninstall()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def operators(release: Release) -> Operators:
    """Two replicas from the chart, under its own ServiceAccount."""
    made = Operators(release.ground.api, release.namespace, release.name)
    await until(made.all_ready, "both replicas answer and one leads", 120)
    return made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def watcher(operators: Operators) -> AsyncIterator[Watcher]:
    """Looks at every run of the session."""
    made = Watcher(operators.api)
    looking = asyncio.create_task(made.run())
    yield made
    looking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await looking


@pytest.fixture(autouse=True)
def invariants(watcher: Watcher) -> Iterator[None]:
    """Every test fails in which an invariant was broken."""
    yield
    watcher.check()


async def _no_run(api: Api) -> bool:
    return not await api.list("SelfRewardRun", None)


async def _is_ours(api: Api, run: dict[str, dict[str, str]]) -> bool:
    namespace = await api.get("Namespace", None, run["metadata"]["namespace"])
    return LABEL in (namespace or {}).get("metadata", {}).get("labels", {})
