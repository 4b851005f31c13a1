"""A run in a queue of a real Kueue: held back it says so and nothing counts, admitted it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio
from selfreward.api import Phase

from real_cluster.api import Api, Object, until
from real_cluster.ground import Ground
from real_cluster.measuring import Measured
from real_cluster.operators import Operators
from real_cluster.runs import rows_of, short, start

NAMESPACE: Final = "selfreward-suite-queue"
NAME: Final = "selfreward-suite"
HELD_SECONDS: Final = 90
"""Longer than the run's own patience with a step that has not started."""


def _object(kind: str, spec: dict[str, Any], namespace: str | None = None) -> Object:
    metadata = {"name": NAME} | ({} if namespace is None else {"namespace": namespace})
    return {"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": kind, "metadata": metadata, "spec": spec}


def queue(stop: str) -> Object:
    """A ClusterQueue with room for the run, which lets nothing in while `stop` is `Hold`."""
    quota = {"name": "cpu", "nominalQuota": "8"}
    group = {"coveredResources": ["cpu"], "flavors": [{"name": NAME, "resources": [quota]}]}
    return _object("ClusterQueue", {"namespaceSelector": {}, "resourceGroups": [group], "stopPolicy": stop})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def held(api: Api, ground: Ground, operators: Operators) -> AsyncIterator[None]:
    """A queue that holds everything back."""
    if await api.get("CustomResourceDefinition", None, "clusterqueues.kueue.x-k8s.io") is None:
        pytest.skip("this cluster has no Kueue")
    await ground.open(NAMESPACE)
    await api.apply(_object("ResourceFlavor", {}))
    await api.apply(queue("Hold"))
    await api.apply(_object("LocalQueue", {"clusterQueue": NAME}, NAMESPACE))
    yield
    await api.delete("LocalQueue", NAMESPACE, NAME)
    await api.delete("ClusterQueue", None, NAME)
    await api.delete("ResourceFlavor", None, NAME)


async def test_a_run_is_held_and_let_go(api: Api, ground: Ground, held: None, measured: Measured) -> None:
    manifest = short(NAMESPACE, ground, deadlines={"start": HELD_SECONDS // 3})
    manifest["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": NAME}
    run = await start(api, manifest)
    await run.reaches("import", timeout=60)
    await asyncio.sleep(HELD_SECONDS)
    assert await run.pods() == []
    (job,) = await api.list("Job", NAMESPACE)
    assert job["spec"]["suspend"] is True
    row = (await run.rows())["import"]
    assert (row.attempt, row.failures) == (1, 0), await run.story()
    measured(f"held {HELD_SECONDS} s: {row.state} {row.reason} {row.message}")
    await api.apply(queue("None"))

    async def has_pods() -> bool:
        return bool(await run.pods())

    seconds = await until(has_pods, "the queue lets the import go", 60)
    measured(f"a pod {seconds:.0f} s after the queue was opened")
    status = await run.finished()
    assert status.phase is Phase.SUCCEEDED, await run.story()
    assert {each.attempt for each in rows_of(status).values()} == {1}
    workloads = await api.list("Workload", NAMESPACE)
    owners = {owner["kind"] for each in workloads for owner in each["metadata"].get("ownerReferences", [])}
    measured(f"{len(workloads)} workloads were admitted, of {sorted(owners)}")
    assert "Job" in owners
