"""The quickstart's own run with the real engine: pods of vLLM write and judge, and what is trained is a real model.

It takes half an hour on two cores and runs where it is asked for. `QUICKSTART_DEVICE=gpu`: its servers and trainers ask
for a GPU each, as such a run does. `cpu`: they ask for none, which is all that is said, and the generator's image holds
vLLM's CPU build. `QUICKSTART_MODEL` is the model where there is no hub.
"""

from __future__ import annotations

import os

import pytest
import yaml
from selfreward.api import Phase, StepState

from real_cluster.api import Api, Object, until
from real_cluster.ground import BUCKET, CREDENTIALS, DATA, Ground
from real_cluster.invariants import GPU_SECONDS
from real_cluster.measuring import Measured
from real_cluster.operators import Operators
from real_cluster.runs import rows_of, start

MODEL = os.environ.get("QUICKSTART_MODEL", "hf://HuggingFaceTB/SmolLM2-135M-Instruct")
DEVICE = os.environ.get("QUICKSTART_DEVICE", "")
SECONDS = 2300


def quickstart(namespace: str, ground: Ground) -> Object:
    """`examples/quickstart/run.yaml`, with its data in the suite's bucket."""
    manifest: Object = yaml.safe_load((DATA.parent / "run.yaml").read_text(encoding="utf-8"))
    manifest["metadata"]["namespace"] = namespace
    spec = manifest["spec"]
    spec["model"] = {"uri": MODEL}
    for role, source in spec["seedData"].items():
        source["uri"] = f"s3://{BUCKET}/seed/{role}.jsonl"
    spec["storage"] = {"uri": f"s3://{BUCKET}/runs", "endpointUrl": ground.endpoint, "secret": CREDENTIALS}
    spec["workloads"] = {kind: {"imagePullPolicy": "IfNotPresent"} for kind in ("serving", "generation", "training")}
    spec["workloads"]["processing"] = {"imagePullPolicy": "IfNotPresent"}
    if DEVICE == "cpu":
        for kind in ("serving", "training"):
            spec["workloads"][kind]["resources"] = {"requests": {"cpu": "100m"}, "limits": {"nvidia.com/gpu": 0}}
    return manifest


@pytest.mark.skipif(not DEVICE, reason="QUICKSTART_DEVICE says neither gpu nor cpu: half an hour with a real engine")
async def test_the_quickstart_with_the_real_engine(
    api: Api, ground: Ground, operators: Operators, measured: Measured
) -> None:
    run = await start(api, quickstart(await ground.open("selfreward-suite-quickstart"), ground))
    status = await run.finished(SECONDS)
    rows = rows_of(status)
    assert status.phase is Phase.SUCCEEDED, await run.story()
    assert {row.state for row in rows.values()} == {StepState.SUCCEEDED}
    assert {key: (row.attempt, row.reason) for key, row in rows.items() if row.attempt != 1} == {}
    assert rows["judge-1"].metrics["parse_rate"] > 0
    assert rows["pairs-1"].metrics["pairs"] > 0
    found = await ground.look(status.artifacts)
    assert found["problems"] == []
    assert {"m0", "m1", "m2", "iteration-1/pairs", "evaluation/m2"} <= set(found["artifacts"])
    assert status.started_at is not None
    assert status.finished_at is not None
    measured(f"whole run in {(status.finished_at - status.started_at).total_seconds():.0f} s")
    for key, row in rows.items():
        if row.finished_at and row.started_at:
            seconds = (row.finished_at - row.started_at).total_seconds()
            numbers = {name: value for name, value in row.metrics.items() if name in ("pairs", "tokens_per_second")}
            measured(f"{key} {seconds:.0f} s {numbers or ''}")
    seconds = await until(run.is_idle, "no pod holds anything", GPU_SECONDS)
    measured(f"idle {seconds:.0f} s after its end was seen")
