"""Argo CD's health and actions in a real Lua 5.1, on the test data beside them, as argo-cd's test runner does."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from gitops.argo import SCRIPTS, act, actions, health
from gitops.generated import ACTIONS, files, settings
from gitops.scenes import NAMES, acted_on, scene
from selfreward.api import SelfRewardRun
from selfreward.api.rules import violations


def read(path: str) -> Any:
    return yaml.safe_load((SCRIPTS / path).read_text())


HEALTH = read("health_test.yaml")["tests"]
DISCOVERY = read("actions/action_test.yaml")["discoveryTests"]
ACTING = read("actions/action_test.yaml")["actionTests"]


@pytest.mark.parametrize("case", HEALTH, ids=[each["inputPath"] for each in HEALTH])
def test_health(case: dict[str, Any]) -> None:
    assert health(read(case["inputPath"])) == case["healthStatus"]


def test_every_scene_is_tried_and_every_health_but_missing_and_unknown_occurs() -> None:
    assert {each["inputPath"] for each in HEALTH} == {f"testdata/{name}.yaml" for name in NAMES}
    found = {each["healthStatus"]["status"] for each in HEALTH}
    assert found == {"Healthy", "Progressing", "Degraded", "Suspended"}


@pytest.mark.parametrize("case", DISCOVERY, ids=[each["inputPath"] for each in DISCOVERY])
def test_which_actions_are_shown(case: dict[str, Any]) -> None:
    assert actions(read(f"actions/{case['inputPath']}")) == sorted(case["result"], key=lambda each: str(each["name"]))


@pytest.mark.parametrize("case", ACTING, ids=[each["action"] for each in ACTING])
def test_what_an_action_does(case: dict[str, Any]) -> None:
    before, after = (read(f"actions/{case[name]}") for name in ("inputPath", "expectedOutputPath"))
    assert act(case["action"], before) == after
    assert violations(SelfRewardRun.model_validate(after)) == []


def test_every_action_is_tried() -> None:
    assert [each["action"] for each in ACTING] == list(ACTIONS)
    assert sorted(each.parent.name for each in SCRIPTS.glob("actions/*/action.lua")) == sorted(ACTIONS)


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_keeps_what_is_there(action: str) -> None:
    """Annotations of others, and empty mappings, which Lua cannot tell from empty lists."""
    before, after = acted_on(action)
    for each in (before, after):
        each["metadata"].setdefault("annotations", {})["team"] = "research"
        each["spec"]["workloads"] = {"serving": {"nodeSelector": {}, "tolerations": [], "env": [{"name": "A"}]}}
    assert act(action, before) == after


def test_a_run_that_another_asked_to_be_let_alone_may_have_no_status() -> None:
    bare = scene("not-seen")
    del bare["status"]
    assert health(bare)["status"] == "Progressing"
    assert [each["name"] for each in actions(bare) if not each["disabled"]] == ["suspend"]


def test_the_files_are_of_today() -> None:
    assert [path.name for path, text in files() if not path.exists() or path.read_text() != text] == []
    kept = {path for path, _ in files()}
    assert set(SCRIPTS.rglob("testdata/*")) <= kept, "run `make generate`"


def test_the_settings_hold_the_scripts() -> None:
    data = settings()["data"]
    actions_of = yaml.safe_load(data["resource.customizations.actions.selfreward.dev_SelfRewardRun"])
    assert [each["name"] for each in actions_of["definitions"]] == list(ACTIONS)
    assert actions_of["discovery.lua"] == (SCRIPTS / "actions/discovery.lua").read_text()
    assert data["resource.customizations.health.selfreward.dev_SelfRewardRun"] == (SCRIPTS / "health.lua").read_text()
