"""What the user says of proxies and certificates reaches our containers in a server's pod, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest
from render.cases import create_serving, run_of
from selfreward.render import Images, kept_manifests, serving_manifests

CA = {"name": "SSL_CERT_FILE", "value": "/etc/corp/ca.crt"}
PROXY = {"name": "https_proxy", "value": "http://proxy.corp:3128"}
FOLDER = {"name": "corp", "mountPath": "/etc/corp", "readOnly": True}


def ours(manifests: Any, env: list[Any], mounts: list[Any]) -> dict[str, Any]:
    """The container that fetches the model, in a run whose server has these variables and mounts."""
    volumes = [{"name": each["name"], "emptyDir": {}} for each in mounts]
    serving = {"env": env, "volumeMounts": mounts, "volumes": volumes}
    run = run_of(workloads={"serving": serving})
    pod = manifests(run, create_serving(run, "m1"), Images())[0]["spec"]["template"]["spec"]
    (found,) = [
        each for each in (*pod["initContainers"], *pod["containers"]) if each["command"][-1] in ("fetch", "agent")
    ]
    return found


@pytest.mark.parametrize("manifests", [serving_manifests, kept_manifests], ids=["fetch", "agent"])
def test_the_container_that_reads_the_store_has_the_users_proxy_and_certificates(manifests: Any) -> None:
    server_only = [{"name": "PYTHONPATH", "value": "/plugins"}, {"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}]
    found = ours(manifests, [*server_only, CA, PROXY], [FOLDER, {"name": "plugins", "mountPath": "/plugins"}])
    assert found["env"][-2:] == [CA, PROXY]
    assert FOLDER in found["volumeMounts"]
    assert "plugins" not in str(found)
    assert "VLLM_LOGGING_LEVEL" not in str(found)


@pytest.mark.parametrize(
    ("env", "mounts", "kept"),
    [
        pytest.param([CA], [FOLDER | {"mountPath": "/etc/corp/ca.crt", "subPath": "ca"}], 1, id="one file"),
        pytest.param([{"name": "SSL_CERT_DIR", "value": "/etc/ssl/certs:/etc/corp"}], [FOLDER], 1, id="one of several"),
        pytest.param([CA], [FOLDER | {"mountPath": "/etc/cor"}], 0, id="another folder"),
        pytest.param([PROXY], [FOLDER], 0, id="an address is no place"),
        pytest.param([{"name": "NO_PROXY", "valueFrom": {"fieldRef": {}}}], [FOLDER], 0, id="not said here"),
    ],
)
def test_only_mounts_that_a_variable_leads_into_are_ours_too(env: list[Any], mounts: list[Any], kept: int) -> None:
    found = ours(serving_manifests, env, mounts)
    assert [each for each in found["volumeMounts"] if each["name"] == "corp"] == mounts[:kept]


def test_what_a_variable_refers_to_comes_along_in_front_of_it() -> None:
    password = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "password"}}}
    user = {"name": "LOGIN", "value": "me:$(PASSWORD)"}
    proxy = {"name": "HTTPS_PROXY", "value": "http://$(LOGIN)@proxy.corp:3128"}
    other = {"name": "OTHER", "value": "x"}
    assert ours(serving_manifests, [password, other, user, proxy], [])["env"][-3:] == [password, user, proxy]


@pytest.mark.parametrize("manifests", [serving_manifests, kept_manifests], ids=["fetch", "agent"])
def test_no_container_lacks_what_a_quota_counts(manifests: Any) -> None:
    asked = {"requests": {"cpu": "4", "memory": "8Gi"}, "limits": {"cpu": "8", "memory": "16Gi", "nvidia.com/gpu": "1"}}
    run = run_of(workloads={"serving": {"resources": asked}})
    pod = manifests(run, create_serving(run, "m1"), Images())[0]["spec"]["template"]["spec"]
    for each in (*pod["initContainers"], *pod["containers"]):
        for kind in ("requests", "limits"):
            assert {"cpu", "memory"} <= each["resources"][kind].keys(), each["name"]
        assert ("nvidia.com/gpu" in str(each["resources"])) == (each["name"] == "server")
