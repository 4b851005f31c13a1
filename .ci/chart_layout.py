"""Writes a packaged chart as an OCI image layout: `chart_layout.py CHART.tgz FOLDER`.

It is what `helm push` would put into a registry, for who copies it there by `oras` or `skopeo`, or carries it to a
cluster without a way out. Media types are Helm's (HIP 6).
"""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

CONFIG = "application/vnd.cncf.helm.config.v1+json"
CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def write_layout(package: Path, metadata: dict[str, Any], folder: Path) -> str:
    """Write the layout of a chart with that `Chart.yaml`; returns the manifest's digest."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    named = {
        "org.opencontainers.image.title": metadata["name"],
        "org.opencontainers.image.version": metadata["version"],
        "org.opencontainers.image.description": metadata["description"],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(_json(metadata), CONFIG),
        "layers": [blob(package.read_bytes(), CONTENT)],
        "annotations": named,
    }
    described = blob(_json(manifest), MANIFEST)
    described["annotations"] = {"org.opencontainers.image.ref.name": metadata["version"]}
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    (folder / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [described]}))
    return str(described["digest"])


def chart_of(package: Path) -> dict[str, Any]:
    """Its `Chart.yaml`, which Helm writes as it read it."""
    import yaml

    with tarfile.open(package) as archive:
        (name,) = [each for each in archive.getnames() if each.count("/") == 1 and each.endswith("/Chart.yaml")]
        content = archive.extractfile(name)
        assert content is not None
        found: dict[str, Any] = yaml.safe_load(content)
    return found


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


if __name__ == "__main__":
    package, folder = map(Path, sys.argv[1:])
    print(write_layout(package, chart_of(package), folder))
