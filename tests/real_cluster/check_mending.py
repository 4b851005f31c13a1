"""What no schema can know: it is said within a minute, in words that name the field, and ends once it is mended."""

from __future__ import annotations

from selfreward.api import ConditionStatus, ConditionType, StepState

from real_cluster.api import Api, until
from real_cluster.ground import CREDENTIALS, Ground
from real_cluster.measuring import Measured
from real_cluster.operators import Operators
from real_cluster.runs import Run, condition, short, start

SAID_SECONDS = 60.0
"""From the moment at which it can be known: the kubelet's own first word on it."""


async def is_stalled(run: Run) -> bool:
    return condition(await run.status(), ConditionType.STALLED)[0] is ConditionStatus.TRUE


async def is_mended(run: Run) -> bool:
    return not await is_stalled(run)


async def test_a_missing_secret(api: Api, ground: Ground, operators: Operators, measured: Measured) -> None:
    namespace = await ground.open("selfreward-suite-secret", credentials=False)
    run = await start(api, short(namespace, ground))
    seconds = await until(lambda: is_stalled(run), "the run is Stalled", SAID_SECONDS + 15)
    _, reason, message = condition(await run.status(), ConditionType.STALLED)
    measured(f"Stalled after {seconds:.0f} s: {reason}: {message}")
    assert reason
    assert CREDENTIALS in message
    await api.apply(ground.credentials(namespace))
    seconds = await until(lambda: is_mended(run), "the run goes on", 180)
    measured(f"goes on {seconds:.0f} s after the Secret was made")
    await run.reaches("import", (StepState.SUCCEEDED,))


async def test_a_wrong_image(api: Api, ground: Ground, operators: Operators, measured: Measured) -> None:
    namespace = await ground.open("selfreward-suite-image")
    manifest = short(namespace, ground)
    manifest["spec"]["workloads"]["processing"] |= {"image": "registry.invalid/nothing:1"}
    run = await start(api, manifest)
    seconds = await until(lambda: is_stalled(run), "the run is Stalled", SAID_SECONDS + 30)
    _, reason, message = condition(await run.status(), ConditionType.STALLED)
    measured(f"Stalled after {seconds:.0f} s: {reason}: {message}")
    assert "spec.workloads" in message
    await run.patch(workloads={"processing": {"image": ground.images.of("trainer")}})
    seconds = await until(lambda: is_mended(run), "the run goes on", 180)
    measured(f"goes on {seconds:.0f} s after the image was named")
    await run.reaches("import", (StepState.SUCCEEDED,))


async def test_a_gpu_that_no_node_has(api: Api, ground: Ground, operators: Operators, measured: Measured) -> None:
    namespace = await ground.open("selfreward-suite-gpu")
    manifest = short(namespace, ground)
    manifest["spec"]["workloads"]["processing"] |= {"resources": {"limits": {"nvidia.com/gpu": "512"}}}
    run = await start(api, manifest)
    seconds = await until(lambda: is_stalled(run), "the run is Stalled", SAID_SECONDS + 15)
    _, reason, message = condition(await run.status(), ConditionType.STALLED)
    measured(f"Stalled after {seconds:.0f} s: {reason}: {message}")
    assert "nvidia.com/gpu" in message
    await run.patch(workloads={"processing": {"resources": {"limits": None, "requests": {"cpu": "10m"}}}})
    seconds = await until(lambda: is_mended(run), "the run goes on", 180)
    measured(f"goes on {seconds:.0f} s after the limit was taken back")
    await run.reaches("import", (StepState.SUCCEEDED,))
