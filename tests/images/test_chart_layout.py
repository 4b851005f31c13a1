"""The chart as an OCI layout is what a registry would hold of it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import yaml
from charts.helm import CHART, Helm

SCRIPT = Path(__file__).parents[2] / ".ci" / "chart_layout.py"


def test_every_blob_is_what_its_digest_says_and_the_chart_is_among_them(tmp_path: Path) -> None:
    helm = Helm(tmp_path)
    assert helm("package", str(CHART), "--destination", str(tmp_path)).returncode == 0
    (package,) = tmp_path.glob("selfreward-*.tgz")
    folder = tmp_path / "layout"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(package), str(folder)], capture_output=True, text=True, check=True
    )
    blobs = {path.name: path.read_bytes() for path in (folder / "blobs/sha256").iterdir()}
    assert {name for name, content in blobs.items() if hashlib.sha256(content).hexdigest() != name} == set()
    (described,) = json.loads((folder / "index.json").read_text())["manifests"]
    assert described["digest"] == done.stdout.strip()
    manifest = json.loads(blobs[described["digest"].removeprefix("sha256:")])
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
    assert blobs[layer["digest"].removeprefix("sha256:")] == package.read_bytes()
    config = json.loads(blobs[manifest["config"]["digest"].removeprefix("sha256:")])
    assert config == yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert {each["size"] for each in (layer, manifest["config"])} <= {len(content) for content in blobs.values()}
    assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
