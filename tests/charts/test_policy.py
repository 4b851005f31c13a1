"""The chart's admission policy: what runs may bring into their pods, on every field by which they could."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from charts.helm import CHART, Helm, of_kind, only
from charts.policies import VALUES, Object, kind_cases, refusals, run_with, secret_paths

CRD = yaml.safe_load((Path(__file__).parents[2] / "crds/selfreward.dev_selfrewardruns.yaml").read_text())
SPEC = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]


@pytest.fixture
def policy(helm: Helm) -> Object:
    return only(helm.render({"admissionPolicy": VALUES}), "ValidatingAdmissionPolicy")


def test_there_is_none_unless_it_is_switched_on(helm: Helm) -> None:
    assert not of_kind(helm.render(), "ValidatingAdmissionPolicy")
    assert not of_kind(helm.render(), "ValidatingAdmissionPolicyBinding")


def test_the_binding_denies_where_it_is_told_to(helm: Helm) -> None:
    selector = {"matchLabels": {"tenants": "true"}}
    manifests = helm.render({"admissionPolicy": {**VALUES, "namespaceSelector": selector}})
    binding = only(manifests, "ValidatingAdmissionPolicyBinding")["spec"]
    assert binding["policyName"] == only(manifests, "ValidatingAdmissionPolicy")["metadata"]["name"]
    assert binding["validationActions"] == ["Deny"]
    assert binding["matchResources"] == {"namespaceSelector": selector}
    everywhere = only(helm.render({"admissionPolicy": VALUES}), "ValidatingAdmissionPolicyBinding")["spec"]
    assert "matchResources" not in everywhere


@pytest.mark.parametrize(("run", "field"), [pytest.param(run, field, id=name) for name, run, field in kind_cases()])
def test_what_a_workload_brings(policy: Object, run: Object, field: str) -> None:
    said = refusals(policy, run)
    assert [message.partition(":")[0] for message in said] == ([field] if field else [])


@pytest.mark.parametrize(
    ("path", "has_key"), [pytest.param(path, has_key, id=".".join(path)) for path, has_key in secret_paths(SPEC)]
)
def test_every_field_that_names_a_secret_is_fenced(policy: Object, path: tuple[str, ...], has_key: bool) -> None:
    def named(name: str) -> list[str]:
        return refusals(policy, run_with(*path, value={"name": name, "key": "k"} if has_key else name))

    assert named("selfreward-own") == []
    (said,) = named("others")
    assert said.startswith(f"spec.{'.'.join(path)}")
    assert said.endswith("allowed are [selfreward-*, bucket]")


def test_the_devices_that_a_server_and_its_training_share_are_fenced(helm: Helm, policy: Object) -> None:
    def named(name: str, policy: Object = policy) -> list[str]:
        return refusals(policy, run_with("serving", "deviceClassName", value=name))

    assert named("gpu.nvidia.com") == named("team-a") == []
    said = "a DeviceClass that runs may not use: allowed are"
    assert named("gpu-nvidia.com") == [f"spec.serving.deviceClassName: {said} [gpu.nvidia.com, team-*]"]
    plain = only(helm.render({"admissionPolicy": {"enabled": True}}), "ValidatingAdmissionPolicy")
    assert named("gpu.nvidia.com", plain) == [f"spec.serving.deviceClassName: {said} []"]
    opened = only(
        helm.render({"admissionPolicy": {"enabled": True, "deviceClasses": ["*"]}}), "ValidatingAdmissionPolicy"
    )
    assert named("any", opened) == []


def test_pods_of_which_nothing_is_said_run_as_default(helm: Helm) -> None:
    policy = only(
        helm.render({"admissionPolicy": {**VALUES, "serviceAccounts": ["runs"]}}), "ValidatingAdmissionPolicy"
    )
    account = {"serviceAccountName": "runs"}
    kinds = ("serving", "generation", "training", "processing")
    assert refusals(policy, run_with("workloads", value={kind: account for kind in kinds})) == []
    for value in ({}, {kind: account for kind in kinds[1:]}):
        (said,) = refusals(policy, run_with("workloads", value=value))
        assert said.startswith("spec.workloads.*.serviceAccountName")


def test_any_is_any_and_the_defaults_let_a_plain_run_through(helm: Helm) -> None:
    opened = {"enabled": True, "images": ["*"], "serviceAccounts": ["*"], "secrets": ["*"]}
    policy = only(helm.render({"admissionPolicy": opened}), "ValidatingAdmissionPolicy")
    pods = {"image": "python", "serviceAccountName": "admin", "imagePullSecrets": ["others"]}
    assert refusals(policy, run_with("workloads", value={"serving": pods})) == []
    policy = only(helm.render({"admissionPolicy": {"enabled": True}}), "ValidatingAdmissionPolicy")
    assert refusals(policy, run_with("iterations", value=1)) == []
    assert len(refusals(policy, run_with("workloads", value={"serving": pods}))) == 3


def test_a_run_that_was_there_before_is_approved_suspended_and_deleted(policy: Object) -> None:
    """The operator takes its finalizer off, which is an update of an object that the policy would refuse."""
    run = run_with("workloads", "serving", "image", value="python")
    finalized: dict[str, Any] = {**run, "metadata": {**run["metadata"], "finalizers": ["selfreward.dev/artifacts"]}}
    assert refusals(policy, run, finalized) == []
    assert refusals(policy, {**run, "spec": {**run["spec"], "suspend": True}}, run) == []
    assert refusals(policy, run, run_with("iterations", value=1)), "its image is new"
    worse = {"training": run["spec"]["workloads"]["serving"]}
    assert refusals(policy, run_with("workloads", value=run["spec"]["workloads"] | worse), run)


def test_lint_finds_nothing(helm: Helm) -> None:
    done = helm("lint", "--strict", "--quiet", str(CHART), values={"admissionPolicy": VALUES})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "value",
    [
        {"secrets": ["a*b"]},
        {"deviceClasses": ["a/b"]},
        {"serviceAccounts": ["A"]},
        {"images": ["a b"]},
        {"volumes": ["hostPath: x"]},
        {"x": 1},
    ],
    ids=["star-within", "no-class", "no-name", "no-image", "no-type", "unknown"],
)
def test_bad_lists_are_refused(helm: Helm, value: dict[str, Any]) -> None:
    assert helm("template", "demo", str(CHART), values={"admissionPolicy": value}).returncode != 0
