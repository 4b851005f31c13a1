"""The examples of whole platforms: their parts fit each other, the chart and kubectl."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from charts.helm import Helm, Manifest, only
from moto import mock_aws
from selfreward.api.load import changes_refused, checked
from selfreward.control.settings import Settings, read_settings

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
CONFIG_MAP_BYTES = 1 << 20
"""What an API server takes (MaxSecretSize of Kubernetes' core validation, of ConfigMaps too)."""
KEYS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tmp_path_factory.mktemp("helm"))


def documents(path: str) -> list[Manifest]:
    return [each for each in yaml.safe_load_all((EXAMPLES / path).read_text(encoding="utf-8")) if each]


def operator(helm: Helm, values: str) -> tuple[Manifest, Settings]:
    """The container of the operator that the values make, and its settings."""
    (given,) = documents(values)
    (container,) = only(helm.render(given), "Deployment")["spec"]["template"]["spec"]["containers"]
    return container, read_settings(container["args"], {})


def by_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == kind}


def test_the_known_world_on_a_cluster_reads_what_its_config_maps_hold(helm: Helm) -> None:
    built = helm.kustomize(EXAMPLES / "known_world")
    run = checked(only(built, "SelfRewardRun"))
    maps = by_kind(built, "ConfigMap")
    holds = {}
    for name, each in maps.items():
        files = {key: text.encode() for key, text in each.get("data", {}).items()}
        files |= {key: base64.b64decode(text) for key, text in each.get("binaryData", {}).items()}
        assert sum(map(len, files.values())) < CONFIG_MAP_BYTES, name
        holds[name] = files
    seen = {
        kind: {
            f"{mount['mountPath']}/{key}"
            for mount in workload.volume_mounts
            for volume in workload.volumes
            if volume["name"] == mount["name"]
            for key in holds[volume["configMap"]["name"]]
        }
        for kind, workload in (("processing", run.spec.workloads.processing), ("serving", run.spec.workloads.serving))
    }
    data = run.spec.seed_data
    sources = [data.instructions, data.rankings, data.eft, run.spec.prompts.source]
    assert {source.uri.removeprefix("file://") for source in sources if source is not None} <= seen["processing"]
    model = run.spec.model.uri.removeprefix("file://")
    for path in sorted((EXAMPLES / "known_world" / "m0").iterdir()):
        assert f"{model}/{path.name}" in seen["processing"]
        assert holds["known-world-model"][path.name] == path.read_bytes()
    assert run.spec.serving.command[2] in seen["serving"]
    _, settings = operator(helm, "kind/values.yaml")
    assert run.spec.workloads.serving.image == settings.images.trainer
    assert run.spec.storage.secret in by_kind(documents("kind/minio.yaml"), "Secret")


def test_the_bucket_of_the_cluster_from_nothing_is_the_operators(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = documents("kind/minio.yaml")
    container, settings = operator(helm, "kind/values.yaml")
    service, deployment = only(parts, "Service"), only(parts, "Deployment")
    (job,) = only(parts, "Job")["spec"]["template"]["spec"]["containers"]
    address = f"http://{service['metadata']['name']}.{service['metadata']['namespace']}.svc:9000"
    assert settings.storage.endpoint_url == address
    assert job["env"] == [{"name": "AWS_ENDPOINT_URL", "value": address}]
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    secrets = [each for each in parts if each["kind"] == "Secret"]
    assert [each["stringData"].keys() for each in secrets] == [KEYS, KEYS]
    assert {each["metadata"]["namespace"] for each in secrets} == {"selfreward-system", "default"}
    assert container["envFrom"] == [{"secretRef": {"name": "store"}}] == job["envFrom"]
    assert job["image"] == settings.images.judge
    for name, value in secrets[0]["stringData"].items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        exec(*job["args"])  # what the Job does
        client = boto3.client("s3", region_name="us-east-1")
        buckets = [each["Name"] for each in client.list_buckets()["Buckets"]]
        client.close()
    assert settings.storage.uri is not None
    assert settings.storage.uri.split("/")[2] in buckets


def test_without_a_way_out_every_pod_has_the_mirror_and_the_ca(helm: Helm) -> None:
    container, settings = operator(helm, "air-gapped/values.yaml")
    images = [container["image"], settings.images.judge, settings.images.trainer, settings.images.generator]
    assert {image.partition("/")[0] for image in images} == {"registry.internal.example.com"}
    (run,) = documents("air-gapped/run.yaml")
    completed = settings.defaults.completed(checked(run))
    for kind in ("serving", "generation", "training", "processing"):
        workload = getattr(completed.spec.workloads, kind)
        assert workload.image_pull_secrets == ["registry"]
        assert trusted(workload.env, workload.volumes, workload.volume_mounts)
    pod = only(helm.render(documents("air-gapped/values.yaml")[0]), "Deployment")["spec"]["template"]["spec"]
    assert trusted(container["env"], pod["volumes"], container["volumeMounts"])
    assert pod["imagePullSecrets"] == [{"name": "registry"}]


def trusted(environment: list[Any], volumes: list[Any], mounts: list[Any]) -> bool:
    """Whether AWS_CA_BUNDLE is a file of a mounted ConfigMap."""
    (bundle,) = [each["value"] for each in environment if each["name"] == "AWS_CA_BUNDLE"]
    (volume,) = [each["name"] for each in volumes if each.get("configMap") == {"name": "house-ca"}]
    return any(bundle.startswith(f"{each['mountPath']}/") for each in mounts if each["name"] == volume)


def test_the_merge_that_raises_iterations_is_taken(helm: Helm, tmp_path: Path) -> None:
    """As the README's diff has it, of a run that has ended."""
    (before,) = documents("gitops/runs/assistant.yaml")
    (diff,) = re.findall(r"```diff\n(.*?)```", (EXAMPLES / "gitops/README.md").read_text(encoding="utf-8"), re.S)
    text = (EXAMPLES / "gitops/runs/assistant.yaml").read_text(encoding="utf-8")
    removed, added = ([line[1:] for line in diff.splitlines() if line[0] == sign] for sign in "-+")
    for old, new in zip(removed, added, strict=True):
        assert f"{old}\n" in text
        text = text.replace(f"{old}\n", f"{new}\n")
    after = checked(yaml.safe_load(text))
    assert (after.spec.iterations, after.metadata.annotations["selfreward.dev/approved-iteration"]) == (2, "2")
    assert changes_refused(after, checked(before)) == []
    assert helm.kustomize(EXAMPLES / "gitops" / "runs")[0]["spec"] == before["spec"]


def test_what_gitops_tools_are_told_is_what_the_docs_say() -> None:
    (application,) = documents("gitops/argocd.yaml")
    (kustomization,) = documents("gitops/flux.yaml")
    for path in (application["spec"]["source"]["path"], kustomization["spec"]["path"]):
        assert (ROOT / path / "kustomization.yaml").is_file()
    (block,) = re.findall(r"```yaml\n(healthCheckExprs:.+?)```", (ROOT / "docs/gitops.md").read_text(), re.S)
    assert kustomization["spec"]["healthCheckExprs"] == yaml.safe_load(block)["healthCheckExprs"]
    (health,) = kustomization["spec"]["healthChecks"]
    (run,) = documents("gitops/runs/assistant.yaml")
    (built,) = documents("gitops/runs/kustomization.yaml")
    assert (health["name"], health["namespace"]) == (run["metadata"]["name"], built["namespace"])
    assert application["spec"]["destination"]["namespace"] == built["namespace"]
