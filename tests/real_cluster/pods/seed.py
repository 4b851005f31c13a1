"""In a pod: a bucket with a tiny model and seed data in it, `seed.py BUCKET`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import boto3
from tiny_model import make_tiny_model

HERE = Path(__file__).parent


def main(bucket: str) -> None:
    """Put everything that a run starts from under `s3://BUCKET/seed`."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=bucket)
    with tempfile.TemporaryDirectory() as folder:
        model = make_tiny_model(Path(folder) / "model")
        files = {f"seed/model/{path.name}": path for path in model.iterdir()}
        files |= {f"seed/{path.name}": path for path in HERE.glob("*.jsonl")}
        for key, path in files.items():
            s3.upload_file(str(path), bucket, key)
            print(key)


if __name__ == "__main__":
    main(sys.argv[1])
