"""In a pod: one object of a bucket under another name too, `copy_object.py BUCKET FROM TO`."""

from __future__ import annotations

import sys

import boto3


def main(bucket: str, source: str, target: str) -> None:
    """Copy within the bucket."""
    boto3.client("s3").copy_object(Bucket=bucket, Key=target, CopySource={"Bucket": bucket, "Key": source})
    print(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
