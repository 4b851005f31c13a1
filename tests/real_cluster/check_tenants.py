"""Tenants and their limits: what a quota or a policy refuses is said within a minute, and no run reaches another's."""

from __future__ import annotations

from selfreward.api import ConditionType, Phase, StepState
from selfreward.render.metadata import MODEL

from real_cluster.api import Api, Object, until
from real_cluster.check_mending import SAID_SECONDS, is_mended, is_stalled
from real_cluster.ground import BUCKET, Ground
from real_cluster.measuring import Measured
from real_cluster.operators import Operators
from real_cluster.runs import condition, rows_of, short, start, whole

POLICY = "selfreward-suite-no-servers"


def quota(namespace: str, **hard: str) -> Object:
    """A ResourceQuota."""
    metadata = {"name": "limits", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}


def no_servers(namespace: str) -> tuple[Object, Object]:
    """A policy that refuses every pod of a model's server in one namespace, and its binding."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    expression = f"!has(object.metadata.labels) || !('{MODEL}' in object.metadata.labels)"
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": POLICY},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": expression, "message": "no model servers here"}],
        },
    }
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": POLICY},
        "spec": {"policyName": POLICY, "validationActions": ["Deny"], "matchResources": selector},
    }
    return policy, binding


async def test_a_quota_without_room_for_a_pod(
    api: Api, ground: Ground, operators: Operators, measured: Measured
) -> None:
    namespace = await ground.open("selfreward-suite-quota")
    await api.apply(quota(namespace, pods="0"))
    run = await start(api, short(namespace, ground))
    seconds = await until(lambda: is_stalled(run), "the run is Stalled", SAID_SECONDS + 15)
    status = await run.status()
    _, reason, message = condition(status, ConditionType.STALLED)
    measured(f"Stalled after {seconds:.0f} s: {reason}: {message}")
    assert reason == "Refused"
    assert "exceeded quota" in message
    assert condition(status, ConditionType.READY)[0] == "False"
    await api.delete("ResourceQuota", namespace, "limits")
    seconds = await until(lambda: is_mended(run), "the run goes on", 400)
    measured(f"goes on {seconds:.0f} s after the quota was lifted")
    await run.reaches("import", (StepState.SUCCEEDED,))


async def test_a_policy_that_refuses_servers(
    api: Api, ground: Ground, operators: Operators, measured: Measured
) -> None:
    namespace = await ground.open("selfreward-suite-policy")
    policy, binding = no_servers(namespace)
    try:
        await api.apply(policy)
        await api.apply(binding)
        run = await start(api, short(namespace, ground))
        await run.reaches("import", (StepState.SUCCEEDED,))
        seconds = await until(lambda: is_stalled(run), "the run is Stalled", SAID_SECONDS + 15)
        _, reason, message = condition(await run.status(), ConditionType.STALLED)
        measured(f"Stalled {seconds:.0f} s after its server could have begun: {reason}: {message}")
        assert reason == "Refused"
        assert "no model servers here" in message
    finally:
        await api.delete("ValidatingAdmissionPolicyBinding", None, POLICY)
        await api.delete("ValidatingAdmissionPolicy", None, POLICY)
    await until(lambda: is_mended(run), "the run goes on", 400)


async def test_a_quota_on_requests_and_limits(
    api: Api, ground: Ground, operators: Operators, measured: Measured
) -> None:
    namespace = await ground.open("selfreward-suite-counted")
    counted = {"requests.cpu": "4", "requests.memory": "16Gi", "limits.cpu": "16", "limits.memory": "32Gi"}
    await api.apply(quota(namespace, **counted))
    manifest = whole(namespace, ground)
    for workload in manifest["spec"]["workloads"].values():
        workload["resources"] = {
            "requests": {"cpu": "10m", "memory": "100Mi"},
            "limits": {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": 0},
        }
    run = await start(api, manifest)
    status = await run.finished()
    assert status.phase is Phase.SUCCEEDED, await run.story()
    assert {row.attempt for row in rows_of(status).values()} == {1}


async def test_a_run_within_anothers_artifacts(
    api: Api, ground: Ground, operators: Operators, measured: Measured
) -> None:
    namespace = await ground.open("selfreward-suite-victim")
    victim = await start(api, short(namespace, ground, "victim"))
    status = await victim.finished()
    before = await ground.look(status.artifacts)
    thief = await ground.open("selfreward-suite-thief")
    manifest = short(thief, ground, "thief", deletionPolicy={"artifacts": "Delete"})
    manifest["spec"]["storage"]["uri"] = f"s3://{BUCKET}/runs/namespace={namespace}/victim/evaluation"
    run = await start(api, manifest)
    seconds = await until(lambda: is_stalled(run), "the run is Stalled", SAID_SECONDS + 30)
    _, reason, message = condition(await run.status(), ConditionType.STALLED)
    measured(f"Stalled after {seconds:.0f} s: {reason}: {message}")
    assert "is the folder of a namespace's runs" in message
    await api.delete("SelfRewardRun", thief, "thief")
    assert await ground.look(status.artifacts) == before


async def test_a_server_that_the_operator_was_not_told_of(
    api: Api, ground: Ground, operators: Operators, measured: Measured
) -> None:
    namespace = await ground.open("selfreward-suite-endpoint")
    manifest = short(namespace, ground)
    manifest["spec"]["storage"]["endpointUrl"] = "http://evil.example.com"
    run = await start(api, manifest)
    await until(lambda: is_stalled(run), "the run is Stalled", SAID_SECONDS)
    assert "sends its credentials to no server" in condition(await run.status(), ConditionType.STALLED)[2]
