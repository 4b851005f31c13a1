"""What the chart brings into a cluster, and what its operator may do there."""

from __future__ import annotations

from real_cluster.api import Api
from real_cluster.operators import COMPONENT, Operators


async def test_the_operator_runs_under_the_charts_service_account(api: Api, operators: Operators) -> None:
    pods = await operators.pods()
    assert {pod["spec"]["serviceAccountName"] for pod in pods} == {operators.lease}
    assert len(pods) == 2
    restarts = {status["restartCount"] for pod in pods for status in pod["status"]["containerStatuses"]}
    assert restarts == {0}
    assert await api.list("Pod", None, COMPONENT) != []


async def test_the_definition_is_established_and_structural(api: Api, operators: Operators) -> None:
    definition = await api.get("CustomResourceDefinition", None, "selfrewardruns.selfreward.dev")
    assert definition is not None
    conditions = {each["type"]: each["status"] for each in definition["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


async def test_it_may_do_what_it_does_and_read_no_secret(api: Api, operators: Operators) -> None:
    async def may(verb: str, group: str, resource: str) -> bool:
        asked = {"verb": verb, "group": group, "resource": resource, "namespace": "default"}
        user = f"system:serviceaccount:{operators.namespace}:{operators.lease}"
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "metadata": {},
            "spec": {"user": user, "resourceAttributes": asked},
        }
        return bool((await api.create(review))["status"]["allowed"])

    wanted = [
        ("create", "batch", "jobs"),
        ("patch", "apps", "deployments"),
        ("get", "", "pods"),
        ("create", "", "events"),
    ]
    forbidden = [
        ("get", "", "secrets"),
        ("list", "", "secrets"),
        ("create", "", "pods"),
        ("create", "", "pods/exec"),
        ("update", "selfreward.dev", "selfrewardruns"),
        ("create", "rbac.authorization.k8s.io", "rolebindings"),
    ]
    assert [each for each in wanted if not await may(*each)] == []
    assert [each for each in forbidden if await may(*each)] == []
