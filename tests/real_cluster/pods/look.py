"""In a pod: what a run's store holds, as one JSON line, `look.py URI`.

{"artifacts": {NAME: DIGEST}, "problems": [what does not agree with its manifest], "objects": how many there are}
"""

from __future__ import annotations

import json
import sys
from urllib.parse import urlsplit

import boto3
from selfreward_steps.store import open_store


def main(uri: str) -> None:
    """Read every manifest and check every object against it."""
    store = open_store(uri)
    parts = urlsplit(uri)
    pages = boto3.client("s3").get_paginator("list_objects_v2")
    prefix = parts.path.strip("/") + "/"
    objects = sum(page.get("KeyCount", 0) for page in pages.paginate(Bucket=parts.netloc, Prefix=prefix))
    manifests = {name: store.read_manifest(name) for name in store.artifacts()}
    problems = [str(problem) for name in manifests for problem in store.verify(name)]
    digests = {name: manifest.digest for name, manifest in manifests.items() if manifest is not None}
    print(json.dumps({"artifacts": digests, "problems": problems, "objects": objects}))


if __name__ == "__main__":
    main(sys.argv[1])
