"""Kept engines' pods: what does not change with the model, what is said of it, and the devices that both share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from render.cases import create_serving, create_step, run_of
from selfreward.api import Keeping
from selfreward.plan import CreateServing
from selfreward.render import Images, device_claim, kept_manifests, model_service, training_manifests
from selfreward.render.kept import assignment_patch
from selfreward.render.metadata import ASSIGNMENT, ENGINE, MODEL
from selfreward.render.training import BACKENDS, Backend
from selfreward_steps.contract import AGENT_VARIABLE, AgentConfig, Assignment

SHARED: dict[str, Any] = {"serving": {"deviceClassName": "gpu.example.com"}}


def kept(model: str, keeping: Keeping = Keeping.AWAKE, **spec: Any) -> dict[str, Any]:
    create: CreateServing = replace(create_serving(run_of(), model), name="demo-serve-m1-a1", keeping=keeping)
    return kept_manifests(run_of(**spec), create, Images(), shares=keeping is Keeping.ASLEEP)[0]


def pod_spec(manifest: dict[str, Any]) -> dict[str, Any]:
    """Of whatever workload it is."""
    match manifest:
        case {"containers": _}:
            return manifest
        case dict():
            return next((found for each in manifest.values() if (found := pod_spec(each))), {})
        case list():
            return next((found for each in manifest if (found := pod_spec(each))), {})
    return {}


def container(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in pod_spec(manifest)["containers"] if each["name"] == name)


def test_a_pod_that_is_made_anew_has_no_model_until_it_is_told() -> None:
    deployment = kept("m1")
    assert deployment["spec"] == kept("m2")["spec"], "nothing in it is of the first model"
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert MODEL not in labels | deployment["spec"]["selector"]["matchLabels"]
    assert ASSIGNMENT not in deployment["spec"]["template"]["metadata"]["annotations"]
    assert labels[ENGINE] == deployment["metadata"]["name"]


def test_what_a_pod_is_told_leads_the_models_service_to_it_and_is_what_the_agent_reads() -> None:
    deployment = kept("m1")
    told = Assignment(number=7, model="m2", digest="sha256:2")
    patch = assignment_patch(told, "42")["metadata"]
    labels = deployment["spec"]["template"]["metadata"]["labels"] | patch["labels"]
    assert model_service(run_of(), "m2")["spec"]["selector"].items() <= labels.items()
    assert not model_service(run_of(), "m1")["spec"]["selector"].items() <= labels.items()
    assert Assignment.model_validate_json(patch["annotations"][ASSIGNMENT]) == told
    assert patch["resourceVersion"] == "42"
    (file,) = (each["downwardAPI"]["items"][0] for each in pod_spec(deployment)["volumes"] if "downwardAPI" in each)
    assert file["fieldRef"]["fieldPath"] == f"metadata.annotations['{ASSIGNMENT}']"
    agent = container(deployment, "agent")
    (text,) = (each["value"] for each in agent["env"] if each["name"] == AGENT_VARIABLE)
    mount = next(each["mountPath"] for each in agent["volumeMounts"] if each["name"] == "assigned")
    assert AgentConfig.model_validate_json(text).assignment == f"{mount}/{file['path']}"


def test_a_pod_that_is_to_sleep_is_no_services() -> None:
    assert assignment_patch(Assignment(number=1, model=None), "1")["metadata"]["labels"] == {MODEL: None}


def test_the_agent_has_the_servers_key_and_nothing_of_the_users() -> None:
    mine = {"env": [{"name": "MINE", "value": "1"}], "volumeMounts": [{"name": "mine", "mountPath": "/mine"}]}
    deployment = kept("m1", workloads={"serving": mine | {"volumes": [{"name": "mine", "emptyDir": {}}]}})
    server, agent = container(deployment, "server"), container(deployment, "agent")
    keys = [[each["valueFrom"] for each in one["env"] if each["name"] == "VLLM_API_KEY"] for one in (server, agent)]
    assert keys[0] == keys[1] != []
    assert ("MINE" in str(server), "mine" in str(agent).lower()) == (True, False)


@pytest.mark.parametrize("backend", BACKENDS, ids=[backend.name for backend in BACKENDS])
@pytest.mark.parametrize(
    ("served", "trained", "requests", "claims"),
    [
        pytest.param(1, 1, {"both": 1}, ({}, {}), id="one each"),
        pytest.param(4, 1, {"both": 1, "rest": 3}, ({}, {"request": "both"}), id="the server more"),
        pytest.param(1, 2, {"both": 1, "rest": 1}, ({"request": "both"}, {}), id="training more"),
    ],
)
def test_server_and_training_name_one_claim(
    backend: Backend, served: int, trained: int, requests: dict[str, int], claims: tuple[dict[str, str], ...]
) -> None:
    spec = {
        "serving": SHARED["serving"] | {"tensorParallel": served},
        "training": {"processesPerNode": trained},
        "workloads": {"serving": {"resources": {"limits": {"memory": "8Gi"}}}},
    }
    run = run_of(**spec)
    server = kept("m1", Keeping.ASLEEP, **spec)
    training = training_manifests(run, *create_step(run, "dpo-1"), Images(), backend, shares=True)[0]
    claim = device_claim(run)
    asked = {each["name"]: each["exactly"]["count"] for each in claim["spec"]["devices"]["requests"]}
    assert asked == requests
    for manifest, name, request in ((server, "server", claims[0]), (training, backend.container, claims[1])):
        assert pod_spec(manifest)["resourceClaims"] == [
            {"name": "devices", "resourceClaimName": claim["metadata"]["name"]}
        ]
        assert container(manifest, name)["resources"]["claims"] == [{"name": "devices"} | request]
        assert "nvidia.com/gpu" not in str(manifest)
    assert container(server, "server")["resources"]["limits"] == {"memory": "8Gi"}
    assert "claims" not in container(server, "agent")["resources"]
