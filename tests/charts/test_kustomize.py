"""The kustomize base is what the chart installs, as kubectl builds it; the overlay of docs/install.md builds on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from charts.generated import KUSTOMIZED, ROOT, kustomized, without_helm
from charts.helm import NAMESPACE, Helm, Manifest, only
from selfreward.control.settings import read_settings

BASE = ROOT / "config" / "default"


def by_name(manifests: list[Manifest]) -> dict[tuple[str, str], Manifest]:
    return {(each["kind"], each["metadata"]["name"]): each for each in manifests}


def test_the_base_is_generated_from_the_chart(helm: Helm) -> None:
    assert KUSTOMIZED.read_text() == kustomized(helm), "run `make generate`"


def test_kubectl_applies_what_helm_installs(helm: Helm) -> None:
    installed = by_name([without_helm(each) for each in helm.release("selfreward")])
    built = by_name(helm.kustomize(BASE))
    namespace = built.pop(("Namespace", NAMESPACE))
    assert {each["metadata"]["namespace"] for each in built.values() if "namespace" in each["metadata"]} == {NAMESPACE}
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    # What keeps the CRD is an order to Helm, and the labels are the release's.
    (crd,) = [each for kind, each in built.items() if kind[0] == "CustomResourceDefinition"]
    metadata = installed[("CustomResourceDefinition", crd["metadata"]["name"])]["metadata"]
    assert metadata.pop("annotations") == {"helm.sh/resource-policy": "keep"}
    del metadata["labels"]
    assert built == installed


def test_the_overlay_of_the_docs_builds(helm: Helm, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "install.md").read_text()
    (overlay,) = re.findall(r"```yaml\n(apiVersion: kustomize.+?)```", text, re.S)
    (tmp_path / "selfreward").symlink_to(ROOT)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(overlay)
    container: dict[str, Any]
    (container,) = only(helm.kustomize(folder), "Deployment")["spec"]["template"]["spec"]["containers"]
    settings = read_settings(container["args"], {})
    mirror = "registry.example.com/selfreward"
    assert container["image"] == f"{mirror}/operator:0.1.0"
    assert settings.storage.uri == "s3://BUCKET/runs"
    images = settings.images
    assert (images.judge, images.trainer, images.generator) == (
        f"{mirror}/judge:0.1.0",
        f"{mirror}/trainer:0.1.0",
        f"{mirror}/generator:0.1.0",
    )


def test_the_crd_can_be_applied_alone(helm: Helm) -> None:
    assert [each["kind"] for each in helm.kustomize(ROOT / "crds")] == ["CustomResourceDefinition"]
