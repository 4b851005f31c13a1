"""The chart as helm renders it: valid, closed to unknown values, and of one mind with the operator's settings."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts.helm import CHART, NAMESPACE, Helm, Manifest, of_kind, only
from selfreward.api import Resources, SelfRewardRun, Workload, Workloads
from selfreward.api.rules import violations
from selfreward.control.defaults import RunDefaults
from selfreward.control.settings import Settings, read_settings
from selfreward.control.storage import StoragePolicy
from selfreward.render import Images

ROOT = Path(__file__).parents[2]
EVERYTHING: dict[str, Any] = {
    "commonLabels": {"team": "research"},
    "images": {
        "registry": "registry.example.com/mirror/",
        "pullSecrets": ["pull"],
        "operator": {"repository": "selfreward/operator", "digest": f"sha256:{'a' * 64}"},
        "trainer": {"repository": "selfreward/trainer", "tag": "cuda12"},
    },
    "storage": {
        "uri": "s3://bucket/runs",
        "endpointUrl": "http://minio:9000",
        "region": "eu-west-1",
        "endpoints": ["https://s3.example.com", "http://other:9000"],
        "allowed": ["s3://shared", "team-a=s3://team-a/runs"],
    },
    "runs": {
        "queue": "research",
        "workloads": {
            "serving": {"nodeSelector": {"pool": "gpu"}, "resources": {"limits": {"nvidia.com/gpu": 1}}},
            "processing": {"env": [{"name": "PRICE", "value": "$(HOME)$$"}]},
        },
    },
    "extraArgs": ["--identity=me"],
    "watchNamespaces": ["team-a", "team-b", "team-a"],
    "leaderElection": {"leaseName": "leader"},
    "workers": 3,
    "logging": {"format": "text", "level": "debug"},
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/runs"}},
    "podAnnotations": {"note": "1"},
    "podLabels": {"tier": "control"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "control", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
    ],
    "priorityClassName": "system-cluster-critical",
    "extraEnv": [{"name": "AWS_REGION", "value": "eu-central-1"}],
    "extraEnvFrom": [{"secretRef": {"name": "s3"}}],
    "extraVolumes": [{"name": "store", "persistentVolumeClaim": {"claimName": "store"}}],
    "extraVolumeMounts": [{"name": "store", "mountPath": "/store"}],
    "metrics": {
        "runs": 50,
        "service": {"annotations": {"a": "b"}},
        "serviceMonitor": {"enabled": True, "labels": {"a": "b"}},
        "prometheusRule": {"enabled": True, "labels": {"a": "b"}, "additionalRules": [{"record": "a:b", "expr": "1"}]},
        "dashboard": {"enabled": True, "annotations": {"grafana_folder": "LLM"}},
    },
    "networkPolicy": {
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        "egress": [{"ports": [{"port": 9000}]}],
    },
}
ALONE: dict[str, Any] = {
    "replicas": 1,
    "leaderElection": {"enabled": False},
    "crds": {"enabled": False},
    "rbac": {"create": False, "aggregate": False},
    "serviceAccount": {"create": False, "name": "somebody"},
    "metrics": {"service": {"enabled": False}},
    "networkPolicy": {"enabled": False},
}
VALUES = pytest.mark.parametrize(
    "values", [{}, EVERYTHING, ALONE, {"global": {}}], ids=["defaults", "everything", "alone", "subchart"]
)


def settings_of(manifests: list[Manifest]) -> Settings:
    """The operator's settings as its container would read them."""
    pod = only(manifests, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    fields = {"metadata.name": "demo-selfreward-abc", "metadata.namespace": NAMESPACE}
    environment = {
        each["name"]: each["value"] if "value" in each else fields[each["valueFrom"]["fieldRef"]["fieldPath"]]
        for each in container["env"]
    }
    assert container["command"] == ["python3", "-m", "selfreward.control"]
    assert not [each for each in container["args"] if "$" in each], "Kubernetes would expand it"
    return read_settings(container["args"], environment)


@VALUES
def test_helm_lint_finds_nothing(helm: Helm, values: dict[str, Any]) -> None:
    done = helm("lint", "--strict", "--quiet", str(CHART), values=values)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_operator_reads_the_defaults(helm: Helm) -> None:
    assert settings_of(helm.render()) == Settings(
        images=Images(**{name: f"localhost/{image}" for name, image in asdict(Images()).items()}),
        identity="demo-selfreward-abc",
        lease_namespace=NAMESPACE,
        lease_name="demo-selfreward",
    )


def test_the_operator_reads_what_is_set(helm: Helm) -> None:
    mirror = "registry.example.com/mirror/selfreward"
    assert settings_of(helm.render(EVERYTHING)) == Settings(
        namespaces=("team-a", "team-b"),
        images=Images(
            generator=f"{mirror}/generator:0.1.0", judge=f"{mirror}/judge:0.1.0", trainer=f"{mirror}/trainer:cuda12"
        ),
        storage=StoragePolicy(
            uri="s3://bucket/runs",
            endpoint_url="http://minio:9000",
            region="eu-west-1",
            endpoints=("https://s3.example.com", "http://other:9000"),
            allowed=("s3://shared", "team-a=s3://team-a/runs"),
        ),
        defaults=RunDefaults(
            queue="research",
            workloads=Workloads(
                serving=Workload(node_selector={"pool": "gpu"}, resources=Resources(limits={"nvidia.com/gpu": "1"})),
                processing=Workload(env=[{"name": "PRICE", "value": "$(HOME)$$"}]),
            ),
        ),
        workers=3,
        identity="me",
        lease_namespace=NAMESPACE,
        lease_name="leader",
        log_format="text",
        log_level="debug",
        run_series=50,
    )


def test_one_operator_alone_needs_no_lease(helm: Helm) -> None:
    manifests = helm.render(ALONE)
    assert [each["kind"] for each in manifests] == ["Deployment"]
    assert settings_of(manifests).elect is False
    spec = manifests[0]["spec"]
    assert spec["strategy"] == {"type": "Recreate"}
    assert spec["template"]["spec"]["serviceAccountName"] == "somebody"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({"replica": 1}, "'replica'", id="unknown"),
        pytest.param({"images": {"judge": {"repo": "x"}}}, "'repo'", id="unknown-within"),
        pytest.param({"images": {"judge": {"digest": "latest"}}}, "sha256", id="digest"),
        pytest.param({"storage": {"uri": "gs://bucket"}}, "s3://", id="storage"),
        pytest.param({"watchNamespaces": "team-a"}, "array", id="one-namespace"),
        pytest.param({"workers": 0}, "minimum", id="workers"),
        pytest.param({"logging": {"format": "xml"}}, "json", id="format"),
        pytest.param({"logging": {"level": "loud"}}, "warning", id="level"),
        pytest.param({"runs": {"workloads": {"serving": {"nodes": {}}}}}, "'nodes'", id="default-unknown"),
        pytest.param(
            {"runs": {"workloads": {"training": {"resources": {"limits": {"memory": "much"}}}}}},
            "does not match pattern",
            id="default-quantity",
        ),
        pytest.param({"leaderElection": {"enabled": False}}, "replicas: must be 1", id="two-without-lease"),
        pytest.param(
            {"metrics": {"service": {"enabled": False}, "serviceMonitor": {"enabled": True}}},
            "needs metrics.service.enabled",
            id="monitor-without-service",
        ),
    ],
)
def test_bad_values_are_refused(helm: Helm, values: dict[str, Any], said: str) -> None:
    done = helm("template", "demo", str(CHART), values=values)
    assert done.returncode != 0
    assert said in done.stderr


def test_the_crd_is_that_of_the_models(helm: Helm) -> None:
    expected = yaml.safe_load((ROOT / "crds/selfreward.dev_selfrewardruns.yaml").read_text())
    rendered = only(helm.render(), "CustomResourceDefinition")
    assert rendered["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert rendered["metadata"].pop("labels")["app.kubernetes.io/part-of"] == "selfreward"
    assert rendered == expected


def test_a_crd_that_is_not_kept_goes_with_the_chart(helm: Helm) -> None:
    rendered = only(helm.render({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert "annotations" not in rendered["metadata"]


@VALUES
def test_pods_pass_pod_security_restricted(helm: Helm, values: dict[str, Any]) -> None:
    manifests = helm.render_with_tests(values)
    pods = [only(manifests, "Deployment")["spec"]["template"]["spec"], only(manifests, "Pod")["spec"]]
    for pod in pods:
        check_restricted(pod)


def check_restricted(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    allowed = {"name", "emptyDir", "persistentVolumeClaim", "configMap", "secret", "projected", "csi", "ephemeral"}
    assert {key for volume in pod["volumes"] for key in volume} <= allowed
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@VALUES
def test_selectors_find_the_pods_and_nothing_in_them_changes_with_a_version(helm: Helm, values: dict[str, Any]) -> None:
    manifests = helm.render(values)
    deployment = only(manifests, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [deployment["spec"]["selector"]["matchLabels"]]
    selectors += [each["spec"]["selector"] for each in of_kind(manifests, "Service")]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in of_kind(manifests, "PodDisruptionBudget")]
    selectors += [each["spec"]["podSelector"]["matchLabels"] for each in of_kind(manifests, "NetworkPolicy")]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not {"app.kubernetes.io/version", "helm.sh/chart", "team"} & set(selector)


@pytest.mark.parametrize(
    ("values", "namespace"),
    [({}, "default"), ({"watchNamespaces": ["team-a"], "storage": {"uri": "s3://bucket/runs"}}, "team-a")],
    ids=["defaults", "one-namespace"],
)
def test_the_first_run_of_the_notes_is_a_run(helm: Helm, values: dict[str, Any], namespace: str) -> None:
    done = helm("install", "demo", str(CHART), "--dry-run=client", values=values)
    manifest = done.stdout.partition("NOTES:")[2].partition("<<EOF | kubectl apply -f -\n")[2].partition("\nEOF\n")[0]
    run = SelfRewardRun.model_validate(yaml.safe_load(manifest))
    assert violations(run) == []
    assert run.metadata.namespace == namespace
    assert (run.spec.storage.uri is None) is ("storage" in values)


def test_the_example_of_the_chart_is_a_run() -> None:
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    (example,) = yaml.safe_load(annotations["artifacthub.io/crdsExamples"])
    assert violations(SelfRewardRun.model_validate(example)) == []


def test_a_long_release_name_stays_a_name(helm: Helm) -> None:
    manifests = helm.render({"fullnameOverride": "x" * 63})
    assert len(only(manifests, "Service")["metadata"]["name"]) <= 63


def test_egress_is_open_unless_it_is_said(helm: Helm) -> None:
    opened, closed = (only(helm.render(values), "NetworkPolicy")["spec"] for values in ({}, EVERYTHING))
    assert opened["policyTypes"] == ["Ingress"]
    assert closed["policyTypes"] == ["Ingress", "Egress"]
    assert {port["port"] for rule in closed["egress"] for port in rule["ports"]} == {53, 443, 6443, 9000}
