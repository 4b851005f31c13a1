"""Training by the real controllers: pods that find each other, by each of the resources that the cluster serves."""

from __future__ import annotations

from typing import Any, Final

import pytest
from selfreward.api import Phase
from selfreward.render.metadata import KEY, RUN

from real_cluster.api import Api, Object, until
from real_cluster.ground import Ground
from real_cluster.measuring import Measured
from real_cluster.operators import Operators
from real_cluster.runs import rows_of, short, start

NODES: Final = 2
CRDS: Final = {"pytorchjob": "pytorchjobs.kubeflow.org", "trainjob": "trainjobs.trainer.kubeflow.org"}


def trained_by(backend: str, namespace: str, ground: Ground) -> Object:
    """The shortest run whose DPO runs in two pods, which reduce their gradients by gloo where they have no GPU."""
    settings: dict[str, Any] = {"batchSize": 2, "perDeviceBatchSize": 1, "maxLength": 96, "maxSteps": 4}
    training = {"backend": backend, "nodes": NODES, "sft": settings, "dpo": settings}
    return short(namespace, ground, backend, training=training)


@pytest.mark.parametrize("backend", CRDS)
async def test_dpo_in_two_pods(
    api: Api, ground: Ground, operators: Operators, measured: Measured, backend: str
) -> None:
    if await api.get("CustomResourceDefinition", None, CRDS[backend]) is None:
        pytest.skip(f"this cluster does not serve {CRDS[backend]}")
    run = await start(api, trained_by(backend, await ground.open("selfreward-suite-training"), ground))

    async def are_there() -> bool:
        return len(await api.list("Pod", run.namespace, f"{RUN}={run.name},{KEY}=dpo-1")) == NODES

    # Whichever pod ends last is taken away with its job.
    await until(are_there, f"{NODES} pods of dpo-1 are there", 900, every=0.3)
    status = await run.finished()
    assert status.phase is Phase.SUCCEEDED, await run.story()
    row = rows_of(status)["dpo-1"]
    assert row.attempt == 1, await run.story()
    # A batch of two, one at a time, in one pass: each pod had one.
    assert (row.metrics["per_device_batch"], row.metrics["accumulation"]) == (1, 1)
    assert row.started_at is not None
    assert row.finished_at is not None
    measured(f"dpo-1 in {NODES} pods: {(row.finished_at - row.started_at).total_seconds():.0f} s")
    found = await ground.look(status.artifacts)
    assert found["problems"] == []
    assert "m2" in found["artifacts"]
