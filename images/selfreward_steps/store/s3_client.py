"""One bucket over boto3: the few requests that a store is made of, and how each is retried.

Everything S3 that is not a rule of the artifact contract is here: path style, checksums, conditional
puts, parallel parts. Only loaded for `s3://`, since boto3 takes longer to import than a step to start.
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from ..errors import InfrastructureError, PermanentError
from ..proxies import is_inside
from . import names
from .checking import HashingReader
from .disk import disk_errors
from .interface import StoreReason
from .manifest import FileEntry
from .s3_errors import code_of, s3_errors, status_of

MIB = 1 << 20
TORN_BODY = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
MAX_PARTS = 9_000
"""S3 allows 10 000 parts an object; larger files get larger parts."""


@dataclass(frozen=True)
class S3Options:
    """How hard to try and how much to do at a time; memory in flight is about files * parts * part size."""

    attempts: int = 8
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    backoff_s: float = 0.2
    part_bytes: int = 8 * MIB
    parallel_files: int = 4
    parallel_parts: int = 4


BRIEF = S3Options(attempts=2, connect_timeout_s=3.0, read_timeout_s=5.0)
"""For the control plane, which asks again later and has others to look after."""


@dataclass(frozen=True)
class Bucket:
    """A bucket and the client that reaches it; keys are whole keys. Every method raises StepErrors only."""

    name: str
    # boto3 makes its clients at run time, so they have no type to name.
    client: Any
    options: S3Options

    def uri(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def get(self, key: str, limit: int | None = None) -> bytes | None:
        """A small object whole, or its first `limit` bytes; None when there is none."""
        try:
            return self.read(key, limit=limit)[0]
        except PermanentError as error:
            if is_missing(error):
                return None
            raise

    def read(self, key: str, span: tuple[int, int] | None = None, limit: int | None = None) -> tuple[bytes, int]:
        """The bytes from the first to the last of `span`, or all, or `limit` of them; and the whole object's size."""
        wanted = {} if span is None else {"Range": f"bytes={span[0]}-{span[1]}"}
        left = self.options.attempts
        while True:
            left -= 1
            with s3_errors(self.uri(key)):
                answer = self.client.get_object(Bucket=self.name, Key=key, **wanted)
                whole = answer.get("ContentRange", f"/{answer['ContentLength']}").rpartition("/")[2]
                # A body that is read to its end is checked for being whole.
                part = limit if limit is not None and answer["ContentLength"] > limit else None
                try:
                    return bytes(answer["Body"].read(part)), int(whole)
                except TORN_BODY:
                    # boto3 tries a request again, but not a body that breaks off while it is read.
                    if left <= 0:
                        raise
            self.pause(left)

    def put(self, key: str, content: bytes) -> None:
        with s3_errors(self.uri(key)):
            self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Create an object; False when there is one already, which may be ours if an answer was lost."""
        for left in reversed(range(self.options.attempts)):
            try:
                with s3_errors(self.uri(key)):
                    self.client.put_object(Bucket=self.name, Key=key, Body=content, IfNoneMatch="*")
                return True
            except PermanentError as error:
                cause = error.__cause__
                status = status_of(cause) if isinstance(cause, ClientError) else 0
                if status == 412:
                    return False
                if status != 409:
                    raise
            # 409: another conditional put of this key is under way; its end decides ours.
            if left:
                self.pause(left)
        raise InfrastructureError(
            StoreReason.UNAVAILABLE, f"{self.uri(key)}: other writers kept interfering: 409 at every try"
        )

    def upload(self, key: str, path: Path, name: str) -> FileEntry:
        """Upload a file in parallel parts, hashing it as it is read; returns its entry as `name`.

        When the answer to the request that joins the parts is lost, repeating that request finds no such
        upload, though the object may be there: only uploading again tells.
        """
        left = self.options.attempts
        while True:
            left -= 1
            try:
                return self._upload_once(key, path, name)
            except PermanentError as error:
                cause = error.__cause__
                lost = isinstance(cause, ClientError) and code_of(cause) == "NoSuchUpload"
                if not lost:
                    raise
                if left <= 0:
                    raise InfrastructureError(StoreReason.UNAVAILABLE, str(error)) from error
            self.pause(left)

    def _upload_once(self, key: str, path: Path, name: str) -> FileEntry:
        with disk_errors(path), path.open("rb") as file:
            source = HashingReader(file)
            part = max(self.options.part_bytes, -(-path.stat().st_size // MAX_PARTS))
            config = TransferConfig(
                multipart_threshold=part,
                multipart_chunksize=part,
                max_concurrency=self.options.parallel_parts,
            )
            config.max_in_memory_upload_chunks = self.options.parallel_parts
            with s3_errors(self.uri(key)):
                self.client.upload_fileobj(source, self.name, key, Config=config)
        return source.entry(name)

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key that starts with `prefix`, in order; PermanentError StoreMisconfigured when there is no end."""
        with s3_errors(self.uri(prefix)):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
            for count, item in enumerate(item for page in pages for item in page.get("Contents", ())):
                if count == names.MAX_NAMES:
                    problem = f"more than {names.MAX_NAMES} objects: no run has so many"
                    raise PermanentError(StoreReason.MISCONFIGURED, f"{self.uri(prefix)}: {problem}")
                yield str(item["Key"])

    def delete(self, key: str) -> None:
        # One by one: the batch request needs a header that not every S3-compatible server agrees on.
        with s3_errors(self.uri(key)):
            self.client.delete_object(Bucket=self.name, Key=key)

    def abort_uploads(self, prefix: str) -> None:
        """Free the parts of multipart uploads that a killed process never finished."""
        with s3_errors(self.uri(prefix)):
            pages = self.client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self.name, Prefix=prefix):
                for item in page.get("Uploads", ()):
                    self.client.abort_multipart_upload(Bucket=self.name, Key=item["Key"], UploadId=item["UploadId"])

    def pause(self, left: int) -> None:
        """Sleep before another try, longer the fewer are `left`, with jitter."""
        tried = self.options.attempts - left
        time.sleep(min(20.0, self.options.backoff_s * 2.0**tried) * random.uniform(0.5, 1.0))


def is_missing(error: PermanentError) -> bool:
    """Whether the server said that the object (and not the bucket) is not there."""
    cause = error.__cause__
    return (
        isinstance(cause, ClientError)
        and (code_of(cause) == "NoSuchKey" or status_of(cause) == 404)
        and (error.reason != StoreReason.BUCKET_NOT_FOUND)
    )


def connect(
    bucket: str,
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
    options: S3Options | None = None,
) -> Bucket:
    """A client for `bucket`; sends nothing yet. A named endpoint is spoken to in path style."""
    options = options or S3Options()
    endpoint = endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
    settings = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    try:
        with s3_errors(f"s3://{bucket}"):
            client = _client(endpoint, region or os.environ.get("AWS_REGION") or None, options, settings)
    except ValueError as error:
        raise PermanentError(
            StoreReason.MISCONFIGURED,
            f"s3://{bucket}: endpoint {endpoint!r}: {error}: use http(s)://host:port",
        ) from error
    return Bucket(bucket, client, options)


def _client(*key: Any) -> Any:
    """The client for all buckets of an endpoint: one is 12 MiB, also when many threads ask for the first at once."""
    with _MAKING_LOCK:
        making = _MAKING.setdefault(key, threading.Lock())
    with making:
        return _made(*key)


_MAKING: dict[tuple[Any, ...], threading.Lock] = {}
"""A lock for each client, so that the third of a second that one takes delays nobody who wants another."""
_MAKING_LOCK = threading.Lock()


@lru_cache(maxsize=64)
def _made(endpoint: str | None, region: str | None, options: S3Options, settings: tuple[tuple[str, str], ...]) -> Any:
    """A new client; `settings`, of the environment, name the account."""
    return boto3.session.Session().client(
        "s3", endpoint_url=endpoint, region_name=region, config=_config(options, endpoint)
    )


def _config(options: S3Options, endpoint: str | None) -> Config:
    compatible = endpoint is not None
    return Config(
        # None: those of the environment.
        proxies={} if endpoint is not None and is_inside(endpoint) else None,
        connect_timeout=options.connect_timeout_s,
        read_timeout=options.read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": options.attempts},
        max_pool_connections=options.parallel_files * (options.parallel_parts + 1) + 4,
        # Servers other than AWS differ in the newer checksum headers; all check the signed payload's hash.
        request_checksum_calculation="when_required" if compatible else "when_supported",
        response_checksum_validation="when_required",
        s3={
            "addressing_style": "path" if compatible else "auto",
            "payload_signing_enabled": compatible,
        },
    )
