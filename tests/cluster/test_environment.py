"""Kubernetes' rules for a container's variables, on this machine."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from selfreward.cluster.local.environment import (
    Machine,
    MissingSecret,
    container_command,
    container_environment,
    expand,
    secret_variables,
)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        pytest.param("--port=$(PORT)", "--port=8000", id="known"),
        pytest.param("$(NOPE)/$(PORT)", "$(NOPE)/8000", id="unknown stays"),
        pytest.param("$$(PORT)", "$(PORT)", id="escaped"),
        pytest.param("$$$(PORT)", "$8000", id="escape, then a reference"),
        pytest.param("$PORT $5 $", "$PORT $5 $", id="not a reference"),
    ],
)
def test_expansion(text: str, expanded: str) -> None:
    assert expand(text, {"PORT": "8000"}) == expanded


def environment(*entries: dict[str, Any], **machine: Any) -> dict[str, str]:
    known = Machine(machine.get("variables", {}), machine.get("services", {}))
    return container_environment({"env": list(entries)}, known)


def test_a_secret_that_the_operator_would_have_made() -> None:
    machine = Machine({}, {}, {("demo-key-1", "api-key"): "drawn"})
    source = {"secretKeyRef": {"name": "demo-key-1", "key": "api-key"}}
    assert container_environment({"env": [{"name": "KEY", "valueFrom": source}]}, machine)["KEY"] == "drawn"


def test_a_value_sees_only_what_stands_before_it() -> None:
    found = environment(
        {"name": "EARLY", "value": "$(LATE)"}, {"name": "LATE", "value": "1"}, {"name": "LAST", "value": "$(LATE)!"}
    )
    assert (found["EARLY"], found["LAST"]) == ("$(LATE)", "1!")


def test_the_machine_wins_where_the_manifest_means_the_image() -> None:
    found = environment(
        {"name": "HOME", "value": "/scratch"}, {"name": "CACHE", "value": "$(HOME)/x"}, variables={"HOME": "/home/me"}
    )
    assert (found["HOME"], found["CACHE"]) == ("/home/me", "/home/me/x")


def test_a_service_is_found_on_the_loopback_interface() -> None:
    config = '{"url":"http://demo-serve-m1:8000/v1","other":"http://demo-serve-m10:8000/v1"}'
    found = environment({"name": "CONFIG", "value": config}, services={"demo-serve-m1:8000": 4321})
    assert found["CONFIG"] == '{"url":"http://127.0.0.1:4321/v1","other":"http://demo-serve-m10:8000/v1"}'


def test_settings_of_an_outer_run_do_not_leak_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFREWARD_CONFIG", "another step's")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    found = environment()
    assert "SELFREWARD_CONFIG" not in found
    assert found["AWS_ACCESS_KEY_ID"] == "id", "envFrom Secrets are read from the runner's environment"


SECRET = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub-token", "key": "token"}}}


@pytest.mark.parametrize(
    ("variables", "value"),
    [
        pytest.param({"HUB_TOKEN_TOKEN": "a", "TOKEN": "b"}, "a", id="name and key first"),
        pytest.param({"TOKEN": "b"}, "b", id="key alone"),
    ],
)
def test_secrets_are_environment_variables(
    variables: dict[str, str], value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in secret_variables("hub-token", "token"):
        monkeypatch.delenv(name, raising=False)
    for name, content in variables.items():
        monkeypatch.setenv(name, content)
    assert environment(SECRET)["TOKEN"] == value


def test_a_missing_secret_says_which_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in secret_variables("hub-token", "token"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MissingSecret, match=r"secret hub-token, key token.*set HUB_TOKEN_TOKEN or TOKEN"):
        environment(SECRET)


def test_a_config_map_is_a_variable_too(monkeypatch: pytest.MonkeyPatch) -> None:
    source = {"configMapKeyRef": {"name": "judge", "key": "template"}}
    with pytest.raises(MissingSecret, match=r"ConfigMap judge, key template: .* set JUDGE_TEMPLATE or TEMPLATE"):
        environment({"name": "TEXT", "valueFrom": source})
    monkeypatch.setenv("JUDGE_TEMPLATE", "Rate {response}")
    assert environment({"name": "TEXT", "valueFrom": source})["TEXT"] == "Rate {response}"


def test_what_only_a_cluster_knows_is_refused() -> None:
    with pytest.raises(MissingSecret, match=r"NODE: valueFrom\.fieldRef means nothing on one machine"):
        environment({"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}})


def test_python_is_this_one() -> None:
    command = container_command({"command": ["python3", "-m", "x", "$(A)"], "args": ["--b"]}, {"A": "1"})
    assert command == [sys.executable, "-m", "x", "1", "--b"]
